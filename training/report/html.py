"""Build HTML with function calls. Text is escaped unless it is Html."""

import base64
from html import escape
from io import BytesIO

from PIL import Image

from training.evaluation.pixels import Pixels

VOID = frozenset({"img", "meta", "line", "circle", "rect", "path"})
"""Elements without content: those of HTML, and those of SVG that have none here."""

LOSSLESS_PIXELS = 150_000
"""Colour images with more pixels are encoded lossily, at a tenth of the size."""


class Html(str):
    """Text that is markup and is not escaped."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: object) -> Html:
    """``<name attributes>content</name>``.

    ``class_`` and ``stroke_width`` become ``class`` and ``stroke-width``. An attribute that is None
    is omitted.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{concat(*content)}</{name}>")


def concat(*content: str) -> Html:
    """Concatenate the parts and escape text."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in content))


def image(pixels: Pixels, alt: str, **attributes: object) -> Html:
    """An ``img`` element that contains the pixels, (H, W, 3 or 4) uint8."""
    return tag("img", src=data_uri(pixels), alt=alt, **attributes)


def data_uri(pixels: Pixels) -> str:
    """The pixels, (H, W, 3 or 4) uint8, as a WebP data URI."""
    gray = bool((pixels[..., :3] == pixels[..., :1]).all())
    lossless = gray or pixels.shape[0] * pixels.shape[1] <= LOSSLESS_PIXELS
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=lossless, quality=85)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _attribute(value: object) -> str:
    """A number with at most two decimals, which is enough for pixels."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
