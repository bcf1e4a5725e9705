"""Markup: what is text stays text."""

import base64
from io import BytesIO

import numpy as np
from PIL import Image

from training.report.html import concat, data_uri, tag


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    made = tag("p", "a < b", tag("b", "&"), title='"quoted"', class_="x", stroke_width=1.0)
    assert made == (
        '<p title="&quot;quoted&quot;" class="x" stroke-width="1">a &lt; b<b>&amp;</b></p>'
    )
    assert concat("<", made) == "&lt;" + made


def test_attributes_without_a_value_are_left_out_and_void_elements_closed() -> None:
    assert tag("img", alt=None, width=3.14159) == '<img width="3.14"/>'


def test_small_and_gray_pictures_lose_nothing() -> None:
    random = np.random.default_rng(0)
    colour = random.integers(0, 256, (20, 30, 4), np.uint8)
    colour[..., 3] = 255
    gray = np.repeat(random.integers(0, 256, (500, 400, 1), np.uint8), 3, axis=2)
    for pixels in (colour, gray):
        content = base64.b64decode(data_uri(pixels).removeprefix("data:image/webp;base64,"))
        with Image.open(BytesIO(content)) as image:
            mode = "RGBA" if pixels.shape[2] == 4 else "RGB"
            assert np.array_equal(np.asarray(image.convert(mode)), pixels)


def test_a_large_photograph_is_made_small() -> None:
    ramp = np.linspace(0, 255, 600, dtype=np.uint8)
    photo = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], ramp[:, None] // 2), axis=2)
    assert len(data_uri(photo)) < photo.size / 20
