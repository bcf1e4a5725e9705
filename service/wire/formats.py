"""The formats of request and reply, and which of them a request asks for.

Clients send the same few headers again and again, so what they mean is remembered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from service.arrays import Arrays, Float32
from service.errors import NotAcceptable, UnsupportedFormat
from service.wire import json, npy, png, safetensors
from service.wire.rows import RowSpec
from vae.manifest import InputSpec

OptionValues = Mapping[str, Any]


@dataclass(frozen=True)
class Format:
    """``read``: a body to the rows of a RowSpec and the options that stand in it.

    ``write``: named arrays, contiguous and in order of importance, and the image they show, to a
    body. A format that carries options reads a request without rows, too.
    """

    media_type: str
    read: Callable[[bytes, RowSpec], tuple[Float32, OptionValues]]
    write: Callable[[Arrays, InputSpec], bytes]

    @cached_property
    def content_type(self) -> bytes:
        """The media type as it stands in a header."""
        return self.media_type.encode()


JSON: Final = Format("application/json", json.read, json.write)
NPY: Final = Format("application/x-npy", npy.read, npy.write)
SAFETENSORS: Final = Format("application/x-safetensors", safetensors.read, safetensors.write)
PNG: Final = Format("image/png", png.read, png.write)
FORMATS: Final = {form.media_type: form for form in (JSON, NPY, SAFETENSORS, PNG)}


@lru_cache(maxsize=64)
def format_of(content_type: bytes | None) -> Format:
    """The format of a request's body; JSON when the request does not say.

    Raises UnsupportedFormat for a Content-Type that is none of FORMATS.
    """
    if content_type is None:
        return JSON
    media_type = content_type.decode("latin-1").partition(";")[0].strip().lower()
    # What curl -d sends when nobody tells it the type.
    if media_type == "application/x-www-form-urlencoded":
        return JSON
    if media_type not in FORMATS:
        raise UnsupportedFormat(
            "this Content-Type is not read here", expected=", ".join(FORMATS), given=media_type
        )
    return FORMATS[media_type]


@lru_cache(maxsize=64)
def acceptable(accept: bytes | None, *, picture: bool) -> Format:
    """The format of a reply by an Accept header (RFC 9110, 12.5.1); JSON when anything will do.

    ``picture`` says whether the reply can be an image. Raises NotAcceptable when nothing fits.
    """
    offered = [form for form in FORMATS.values() if picture or form is not PNG]
    if not accept:
        return JSON
    text = accept.decode("latin-1")
    ranges = _ranges(text)
    best = max(offered, key=lambda form: _quality(form.media_type, ranges))
    if _quality(best.media_type, ranges) == 0:
        raise NotAcceptable(
            "no format of Accept is offered here",
            expected=", ".join(form.media_type for form in offered),
            given=text,
        )
    return best


def _ranges(accept: str) -> dict[str, float]:
    """Media ranges and their weights; a weight that is none counts as 0."""
    ranges = {}
    for item in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in item.split(";"))
        weights = [part[2:] for part in parameters if part.startswith("q=")]
        try:
            weight = float(weights[0]) if weights else 1.0
        except ValueError:
            weight = 0.0
        ranges[media_range] = weight if 0 <= weight <= 1 else 0.0
    return ranges


def _quality(media_type: str, ranges: Mapping[str, float]) -> float:
    """The weight of the most specific range that matches; 0 when none does."""
    kind = media_type.partition("/")[0]
    for media_range in (media_type, f"{kind}/*", "*/*"):
        if media_range in ranges:
            return ranges[media_range]
    return 0.0
