"""Markup from function calls: text is escaped unless it is markup already."""

import base64
from html import escape
from io import BytesIO

from PIL import Image

from training.evaluation.pixels import Pixels

VOID = frozenset({"img", "meta", "line", "circle", "rect", "path"})
"""Elements without content: HTML's own, and SVG's that never have any here."""

LOSSLESS_PIXELS = 150_000
"""Colour pictures larger than this lose a little: a photograph is a tenth as large then."""


class Html(str):
    """Text that is markup, to be left as it is."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: object) -> Html:
    """``<name attributes>content</name>``.

    ``class_`` and ``stroke_width`` become ``class`` and ``stroke-width``; None leaves an attribute
    out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(*content)}</{name}>")


def join(*content: str) -> Html:
    """All of it in a row."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in content))


def picture(pixels: Pixels, alt: str, **attributes: object) -> Html:
    """(H, W, 3 or 4) bytes as an ``img`` that holds its own data."""
    return tag("img", src=data_uri(pixels), alt=alt, **attributes)


def data_uri(pixels: Pixels) -> str:
    """(H, W, 3 or 4) bytes as WebP, which knows transparency and every browser knows."""
    gray = bool((pixels[..., :3] == pixels[..., :1]).all())
    lossless = gray or pixels.shape[0] * pixels.shape[1] <= LOSSLESS_PIXELS
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=lossless, quality=85)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _number(value: object) -> str:
    """Coordinates with as many digits as a screen has pixels."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
