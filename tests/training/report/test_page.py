"""The page of real runs: whole, closed in itself, true to the run, small."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from training.loop.run_directory import RunDirectory
from training.report.html import VOID

LIMIT = 2_000_000


@pytest.fixture(params=["digits_bundle", "conv_bundle", "table_bundle"])
def run(request: pytest.FixtureRequest) -> RunDirectory:
    """A finished run of gray images, of colour images, of a table."""
    bundle: Path = request.getfixturevalue(request.param)
    return RunDirectory(bundle.parents[2] / "run")


def report(run: RunDirectory) -> str:
    return (run.path / "report.html").read_text("utf-8")


class Elements(HTMLParser):
    """What is open, what it links to, and which pictures say nothing to those who cannot see."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.mute: list[str] = []

    def handle_startendtag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self._look(name, dict(attributes))

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        assert name not in VOID
        self.open.append(name)
        self._look(name, dict(attributes))

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def _look(self, name: str, attributes: dict[str, str | None]) -> None:
        for key in ("src", "href"):
            if key in attributes and not str(attributes[key]).startswith("data:"):
                self.outside.append(f"{name} {attributes[key]}")
        if name == "img" and not attributes.get("alt"):
            self.mute.append(name)
        if attributes.get("role") == "img" and not attributes.get("aria-label"):
            self.mute.append(name)


def test_the_page_is_whole_and_small_and_asks_for_nothing_outside(run: RunDirectory) -> None:
    page = report(run)
    elements = Elements()
    elements.feed(page)
    elements.close()
    assert elements.open == []
    assert elements.outside == []
    assert elements.mute == []
    assert "url(http" not in page
    assert len(page) < LIMIT


def test_a_finished_page_rests_and_tells_the_run(run: RunDirectory) -> None:
    page = report(run)
    config = run.config()
    assert 'http-equiv="refresh"' not in page
    assert "Finished." in page
    assert f"<h1>{config.name}</h1>" in page
    assert f"/models/{config.name}/sample" in page
    for section in ("Curves", "Outputs", "Latents", "Serving"):
        assert f"<h2>{section}</h2>" in page
    for option in type(config).model_fields:
        assert f"--{option.replace('_', '-')}<" in page
    assert str(run.path.parent) not in page.replace(str(config.run), "").replace(
        str(config.models), ""
    )


def test_images_are_shown_as_pictures_and_tables_by_column(run: RunDirectory) -> None:
    page = report(run)
    if run.config().name != "table":
        assert page.count("<img ") >= 4
        assert 'class="lens"' in page
        assert "<h3>Sharpness" in page
        assert '<th scope="row">samples, E[x|z]</th>' in page
    else:
        assert "<img " not in page
        for column in ("height", "weight", "age"):
            assert f'<th scope="row">{column}</th>' in page


def test_digits_are_coloured_by_their_labels(digits_bundle: Path) -> None:
    page = report(RunDirectory(digits_bundle.parents[2] / "run"))
    assert len(set(re.findall(r'class="point kind-(\d)"', page))) == 10
