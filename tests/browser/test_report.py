"""The report as a person meets it: in Chromium, from the file, light and dark, wide and narrow."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(params=["digits_bundle", "conv_bundle", "table_bundle"])
def report(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page with the report, which must raise nothing and ask no server for anything."""
    bundle: Path = request.getfixturevalue(request.param)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("request", lambda asked: wrong.append(asked.url) if "http" in asked.url else None)
        page.goto((bundle.parents[2] / "run" / "report.html").as_uri())
        yield page
        browser.close()
    assert wrong == []


def test_the_pointer_reads_all_curves_at_once(report: Any) -> None:
    outputs = report.locator("output")
    before = outputs.all_text_contents()
    report.locator(".chart svg").first.hover(position={"x": 60, "y": 60})
    assert report.locator(".charts").get_attribute("data-epoch") == "epoch 1"
    assert outputs.all_text_contents() != before
    report.locator(".charts").press("ArrowRight")
    assert report.locator(".charts").get_attribute("data-epoch") == "epoch 2"
    report.mouse.move(0, 0)
    assert outputs.all_text_contents() == before


def test_a_point_of_images_shows_its_image(report: Any) -> None:
    lens = report.locator(".lens")
    if lens.count() == 0:
        assert report.locator("img").count() == 0
        return
    report.locator(".point").first.hover(force=True)
    assert lens.is_visible()
    report.mouse.move(0, 0)
    assert not lens.is_visible()


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_nothing_sticks_out_at_any_width(report: Any, width: int) -> None:
    report.set_viewport_size({"width": width, "height": 900})
    assert report.evaluate("document.documentElement.scrollWidth") <= width
