"""The playground in Chromium, with a real server and real bundles."""

import io
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.servers import Server, serving

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MODELS = ("digits", "colours", "table", "conditional", "told")
SHOWN = "canvas => canvas.toDataURL()"


@pytest.fixture(scope="module")
def models(
    tmp_path_factory: pytest.TempPathFactory,
    digits_bundle: Path,
    conv_bundle: Path,
    table_bundle: Path,
    conditional_bundle: Path,
    told_bundle: Path,
) -> Path:
    """A directory of a gray, a colour, a vector and two conditional models."""
    root = tmp_path_factory.mktemp("models")
    for bundle in (digits_bundle, conv_bundle, table_bundle, conditional_bundle, told_bundle):
        shutil.copytree(bundle, root / bundle.parent.name / bundle.name)
    return root


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Server]:
    with serving(models, "--default-model", "digits") as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, server: Server) -> Iterator[Any]:
    """A page. The test fails if it raises, logs an error or sends a request to another host."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(10_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if is_ours(line) else None)
    page.on("request", lambda sent: wrong.append(sent.url) if leaves(sent.url) else None)
    yield page
    context.close()
    assert wrong == []


def is_ours(line: Any) -> bool:
    """Chromium also logs each reply above 399, which some tests cause on purpose."""
    return line.type in ("error", "warning") and "Failed to load resource" not in line.text


def leaves(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:"))


def visit(page: Any, server: Server, model: str) -> None:
    page.goto(f"{server.url}/#{model}")
    page.reload()  # a new fragment alone does not load the page
    page.wait_for_selector("#try")
    wait_for_text(page, "#explore .curl code", "latents")
    wait_for_text(page, "#interpolate .curl code", "latents")
    settle(page)


def settle(page: Any) -> None:
    """Wait until no panel has been busy for a tenth of a second."""
    page.evaluate("window.quietSince = performance.now()")
    page.wait_for_function(
        "() => { const now = performance.now();"
        " if (document.querySelector('[aria-busy]')) window.quietSince = now;"
        " return now - window.quietSince > 100; }"
    )


def wait_for_text(page: Any, selector: str, text: str) -> None:
    playwright.expect(page.locator(selector).first).to_contain_text(text)


def button(page: Any, panel: str, name: str) -> Any:
    return page.locator(panel).get_by_role("button", name=name, exact=True)


def gray(page: Any, selector: str) -> np.ndarray[Any, Any]:
    """The red channel of a canvas, flat."""
    canvas = page.locator(selector).first
    size = canvas.evaluate("canvas => canvas.width * canvas.height")
    script = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    return np.array(canvas.evaluate(script)).reshape(size, 4)[:, 0]


def as_gray(row: Any, high: float) -> np.ndarray[Any, Any]:
    return np.clip(np.ravel(row) / high * 255, 0, 255)


def draw(page: Any, *points: tuple[float, float]) -> None:
    """Draw one stroke; points are shares of the width and height of the pad."""
    pad = page.locator(".pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_kind_of_model_fits_every_screen(
    page: Any, server: Server, model: str, scheme: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    visit(page, server, model)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".problem:visible").count() == 0
    for panel in ("#sample", "#explore", "#interpolate"):
        assert f"/models/{model}/" in page.locator(f"{panel} .curl code").inner_text()


def test_the_header_says_what_is_served(page: Any, server: Server) -> None:
    visit(page, server, "table")
    wait_for_text(page, "#health", "ready")
    description = page.locator("#model .description-list").inner_text()
    for fact in ("3 columns", "2 dimensions", "gaussian", "mlp", "nats"):
        assert fact in description
    assert page.get_by_role("link", name="API docs").is_visible()
    page.get_by_label("Model").select_option("colours")
    wait_for_text(page, "#model .description-list", "9 × 10 colour")
    page.get_by_label("Model").select_option("told")
    wait_for_text(page, "#model .description-list", "1 dimension,")
    assert "1 columns" not in page.locator("#model .description-list").inner_text()
    page.get_by_label("Model").select_option("colours")
    wait_for_text(page, "#sample .curl code", "/models/colours/")


@pytest.mark.parametrize("width", [360, 1280])
def test_the_documentation_opens_what_its_address_names(
    page: Any, server: Server, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{server.url}/docs#encode")
    page.wait_for_selector("#encode h3")
    text = page.locator("#encode").inner_text()
    for said in ("X-Timeout-Ms", "Request body", "inputs", "Also as application/x-", "429"):
        assert said in text
    assert page.locator("details[open]").count() == 1
    page.locator("#live summary").click()
    wait_for_text(page, "#live", "Replies")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_default_model_opens(page: Any, server: Server) -> None:
    page.goto(server.url)
    page.wait_for_selector("#try")
    assert page.url.endswith("#digits/1")


def test_a_seed_draws_what_the_api_draws(page: Any, server: Server) -> None:
    visit(page, server, "digits")
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Temperature").fill("0.5")
    wait_for_text(page, "#sample .curl code", '"seed":7,"temperature":0.5')
    settle(page)
    options = {"n": 32, "seed": 7, "temperature": 0.5}
    expected = httpx.post(f"{server.url}/models/digits/sample", json=options).json()["outputs"]
    assert page.locator("#sample .picture-button").count() == 32
    for i in (0, 31):
        shown = gray(page, f"#sample .picture-button:nth-child({i + 1}) canvas")
        assert np.abs(shown - as_gray(expected[i], 16)).max() <= 1


def test_a_new_seed_draws_others(page: Any, server: Server) -> None:
    visit(page, server, "digits")
    before = page.locator("#sample .picture-button canvas").first.evaluate(SHOWN)
    button(page, "#sample", "New seed").click()
    page.wait_for_function(
        "before => document.querySelector('#sample .picture-button canvas').toDataURL() !== before",
        arg=before,
    )


def test_a_sample_opens_in_explore(page: Any, server: Server) -> None:
    visit(page, server, "digits")
    sample = page.locator("#sample .picture-button").nth(4)
    sample.click()
    picture = sample.locator("canvas").evaluate(SHOWN)
    page.wait_for_function(
        "wanted => document.querySelector('#explore canvas').toDataURL() === wanted", arg=picture
    )


def test_sliders_send_one_request_at_a_time_and_the_last_value_wins(
    page: Any, server: Server
) -> None:
    visit(page, server, "digits")
    button(page, "#explore", "Reset to 0").click()
    settle(page)
    now = most = total = 0

    def began(request: Any) -> None:
        nonlocal now, most, total
        if request.url.endswith("/decode"):
            now, most, total = now + 1, max(most, now + 1), total + 1

    def ended(request: Any) -> None:
        nonlocal now
        now -= request.url.endswith("/decode")

    page.on("request", began)
    page.on("requestfinished", ended)
    slider = page.locator("#explore .slider input").first
    axis = int(page.locator("#explore .slider sub").first.inner_text())
    slider.evaluate(
        "slider => { for (let v = -3; v <= 2.5; v += 0.1) {"
        " slider.value = v; slider.dispatchEvent(new Event('input')); } }"
    )
    slider.evaluate("s => { s.value = 1.5; s.dispatchEvent(new Event('input')); }")
    wait_for_text(page, "#explore .curl code", "1.5")
    settle(page)
    assert most == 1
    assert 1 <= total <= 6  # of 57 moves
    z = [0.0] * 10
    z[axis] = 1.5
    reply = httpx.post(f"{server.url}/models/digits/decode", json={"latents": [z]})
    expected = as_gray(reply.json()["outputs"], 16)
    assert np.abs(gray(page, "#explore canvas") - expected).max() <= 1


def test_a_drawing_is_reconstructed_and_scored(page: Any, server: Server) -> None:
    visit(page, server, "digits")
    draw(page, (0.3, 0.2), (0.7, 0.2), (0.5, 0.9))
    playwright.expect(page.locator(".headline")).to_contain_text("p\u00a0")
    settle(page)
    assert "nats" in page.locator("#try .description-list").inner_text()
    assert page.locator(".posterior-chart rect").count() == 10
    row = np.round(gray(page, ".pad canvas") / 255 * 16)
    assert 4 < (row > 8).sum() < 40
    reply = httpx.post(f"{server.url}/models/digits/reconstruct", json={"inputs": [row.tolist()]})
    expected = as_gray(reply.json()["outputs"], 16)
    assert np.abs(gray(page, "#try figure:last-child canvas") - expected).max() <= 1
    button(page, "#try", "Clear").click()
    playwright.expect(page.locator(".headline")).to_be_empty()
    assert button(page, "#try", "Open in Explore").is_disabled()


def test_noise_is_unlike_the_training_data(page: Any, server: Server) -> None:
    visit(page, server, "digits")
    button(page, "#try", "Noise").click()
    wait_for_text(page, ".headline", "Unlike anything in the training data")


def test_the_keyboard_draws(page: Any, server: Server) -> None:
    visit(page, server, "digits")
    page.locator(".pad").focus()
    for key in ("ArrowUp", "Shift+ArrowDown", "Shift+ArrowDown", "ArrowRight", "Space"):
        page.keyboard.press(key)
    playwright.expect(page.locator(".headline")).to_contain_text("p\u00a0")
    assert gray(page, ".pad canvas").max() == 255


def test_an_image_file_is_scaled_to_the_model(page: Any, server: Server) -> None:
    visit(page, server, "colours")
    pixels = np.zeros((180, 400, 3), np.uint8)
    pixels[:, 200:] = (250, 100, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    choose = page.locator("#try input[type=file]")
    choose.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": buffer.getvalue()})
    playwright.expect(page.locator(".headline")).to_contain_text("p\u00a0")
    red = gray(page, ".pad canvas").reshape(9, 10)
    assert (red[:, :4] == 0).all()
    assert (red[:, 6:] == 250).all()
    choose.set_input_files({"name": "b.png", "mimeType": "image/png", "buffer": b"no picture"})
    wait_for_text(page, "#try .problem", "b.png is not an image")


def test_a_row_is_filled_in_pasted_and_scored(page: Any, server: Server) -> None:
    visit(page, server, "table")
    fields = page.locator("#try .form input")
    assert [fields.nth(i).get_attribute("aria-label") for i in range(3)] == [
        "height",
        "weight",
        "age",
    ]
    button(page, "#try", "Clear").click()
    wait_for_text(page, "#try .note[role=status]", "3 of 3 columns are empty")
    page.evaluate("navigator.clipboard.writeText('172.5, 71, 40')")
    fields.first.focus()
    page.keyboard.press("Control+V")
    wait_for_text(page, ".headline", "Like the training data")
    fields.nth(1).fill("500")
    wait_for_text(page, ".headline", "Unlike any")
    fields.nth(1).fill("1e30")
    wait_for_text(page, "#try .problem", "not finite")
    playwright.expect(page.locator(".headline")).to_be_empty()


def test_samples_of_a_table_are_a_table(page: Any, server: Server) -> None:
    visit(page, server, "table")
    heads = page.locator("#sample thead th").all_inner_texts()
    assert heads == ["Row", "height", "weight", "age"]
    page.get_by_role("button", name="Row 3: open in Explore").click()
    row = page.locator("#sample tbody tr").nth(2).locator("td").all_inner_texts()
    for i, value in enumerate(row):
        playwright.expect(page.locator("#explore .line .number").nth(i)).to_have_text(value)


def test_an_interpolation_runs_from_a_to_b(page: Any, server: Server) -> None:
    visit(page, server, "digits")
    explored = page.locator("#explore canvas").evaluate(SHOWN)
    button(page, "#interpolate", "B from Explore").click()
    settle(page)
    page.get_by_label("100% of the way").click()
    canvas = "#interpolate > .interpolation > canvas"
    big = page.locator(canvas)
    assert big.evaluate(SHOWN) == explored
    page.get_by_label("0% of the way", exact=True).click()
    start = big.evaluate(SHOWN)
    assert start != explored
    button(page, "#interpolate", "Play").click()
    page.wait_for_function(
        "([canvas, start]) => document.querySelector(canvas).toDataURL() !== start",
        arg=[canvas, start],
    )
    button(page, "#interpolate", "Pause").click()


@pytest.mark.parametrize("panel", ["#sample", "#explore", "#try", "#interpolate"])
def test_the_copied_curl_command_works(page: Any, server: Server, panel: str) -> None:
    visit(page, server, "digits")
    draw(page, (0.3, 0.2), (0.6, 0.8))
    playwright.expect(page.locator(".headline")).to_contain_text("p\u00a0")
    button(page, panel, "Copy the curl command").click()
    wait_for_text(page, f"{panel} .curl button", "Copied")
    program, url, _, header, _, body = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    name, value = header.split(": ")
    assert program == "curl"
    assert httpx.post(url, headers={name: value}, content=body).status_code == 200


def test_the_page_asks_for_the_key_and_keeps_it(page: Any, models: Path) -> None:
    with serving(models, "--api-keys", '["s3cret"]') as locked:
        page.goto(locked.url)
        page.get_by_label("API key").fill("wrong")
        page.keyboard.press("Enter")
        wait_for_text(page, "#key-problem", "does not know this key")
        page.get_by_label("API key").fill("s3cret")
        page.keyboard.press("Enter")
        page.wait_for_selector("#try")
        assert page.locator("#key").is_hidden()
        assert "s3cret" not in page.locator("body").inner_text()
        wait_for_text(page, "#sample .curl code", "$VAE_API_KEY")
        page.reload()
        page.wait_for_selector("#try")


def test_a_server_that_stopped_is_reported(page: Any, models: Path) -> None:
    with serving(models / "digits" / "1") as dying:
        page.goto(dying.url)
        page.wait_for_selector("#sample .picture-button")
        settle(page)
        dying.process.kill()
        dying.process.wait()
        button(page, "#sample", "New seed").click()
        wait_for_text(page, "#sample .problem", "The server did not answer")


def test_an_option_that_the_server_rejects_is_explained(page: Any, models: Path) -> None:
    with serving(models / "digits" / "1", "--max-request-rows", "32") as strict:
        page.goto(strict.url)
        page.wait_for_selector("#sample .picture-button")
        page.get_by_label("Rows").select_option("64")
        wait_for_text(page, "#sample .problem", "n is too large; expected at most 32; given 64")
        page.get_by_label("Rows").select_option("16")
        playwright.expect(page.locator("#sample .problem")).to_be_hidden()


@pytest.mark.parametrize(
    ("p_value", "rows", "level", "headline"),
    [
        (1 / 6001, 6000, 0, "Unlike anything in the training data (p < 0.001)"),
        (0.04, 1000, 1, "Unusual for this model (p = 0.040)"),
        (0.12, 1000, 2, "A little out of the ordinary (p = 0.12)"),
        (1.0, 1000, 3, "Like the training data (p = 1.00)"),
        (1 / 19, 18, 0, "Unlike any of the 18 held-out rows (p = 0.053)"),
    ],
)
def test_a_p_value_in_words(
    page: Any, server: Server, p_value: float, rows: int, level: int, headline: str
) -> None:
    page.goto(server.url)
    script = "async ([p, n]) => (await import('/static/score-card.js')).describePValue(p, n)"
    described = page.evaluate(script, [p_value, rows])
    assert described["level"] == level
    assert described["headline"].replace("\u00a0", " ") == headline


def test_slerp_keeps_the_length_and_meets_both_ends(page: Any, server: Server) -> None:
    page.goto(server.url)
    script = "async ([a, b, t]) => (await import('/static/interpolate-panel.js')).slerp(a, b, t)"
    a, b = [3.0, 0.0, 4.0], [0.0, 5.0, 0.0]
    assert page.evaluate(script, [a, b, 0]) == pytest.approx(a)
    assert page.evaluate(script, [a, b, 1]) == pytest.approx(b, abs=1e-12)
    assert np.linalg.norm(page.evaluate(script, [a, b, 0.3])) == pytest.approx(5)
    assert page.evaluate(script, [[0, 0, 0], b, 0.5]) == pytest.approx([0, 2.5, 0])
    assert page.evaluate(script, [a, a, 0.5]) == pytest.approx(a)


def test_requests_carry_the_class_that_is_picked(page: Any, server: Server) -> None:
    visit(page, server, "conditional")
    classes = page.get_by_label("Class", exact=True)
    assert classes.input_value() == "0"
    wait_for_text(page, "#sample .curl code", '"condition":"0"')
    before = page.locator("#sample canvas").first.evaluate(SHOWN)
    classes.select_option("7")
    wait_for_text(page, "#sample .curl code", '"condition":"7"')
    settle(page)
    assert page.locator("#sample canvas").first.evaluate(SHOWN) != before
    assert page.get_by_label("Class", exact=True).input_value() == "7"
    visit(page, server, "digits")
    assert page.get_by_label("Class", exact=True).is_hidden()


def test_each_condition_column_has_a_field(page: Any, server: Server) -> None:
    visit(page, server, "told")
    height = page.get_by_label("height", exact=True)
    assert 160 < float(height.input_value()) < 185  # the mean of those who were measured
    height.fill("190")
    height.dispatch_event("change")
    wait_for_text(page, "#sample .curl code", '"condition":[190,')
    settle(page)
    assert page.get_by_label("height", exact=True).input_value() == "190"
    visit(page, server, "digits")
    assert page.get_by_label("height", exact=True).count() == 0
