"""PNG: one picture in; a picture, or a grid of all rows, out.

Black and white are the ends of the model's input range: 0 to 255 becomes 0 to 16 for a model of
4-bit scans, and back.
"""

from io import BytesIO
from math import ceil, isqrt, sqrt
from struct import Struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.arrays import Arrays, Float32
from service.errors import (
    InvalidInput,
    Malformed,
    NotAcceptable,
    ServiceError,
    UnsupportedFormat,
)
from service.wire.rows import RowSpec
from vae.manifest import InputSpec

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
HEADER: Final = Struct(">16sII")  # the signature, the length and name of IHDR, width, height
READABLE_MODES: Final = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
TILE_PIXELS: Final = 64  # a grid is for people: smaller pictures are enlarged to about this
MAX_GRID_PIXELS: Final = 4 * 2**20  # drawing and packing a grid holds up everybody
GAP_PIXELS: Final = 2
GAP_GRAY: Final = 128


def read(body: bytes, spec: RowSpec) -> tuple[Float32, dict[str, str]]:
    """One row of ``spec`` from a PNG of exactly its height and width; gray and colour convert.

    Raises UnsupportedFormat when a row is no picture, Malformed when the body is no whole PNG, and
    InvalidInput when its size or depth does not fit, which is found before anything is decoded.
    """
    image = _image(spec)
    _check_size(body, image, spec.max_pixels)
    try:
        picture = Image.open(BytesIO(body), formats=("PNG",))
        if picture.size != (image.shape[1], image.shape[0]):
            raise ValueError("it has a second header, of another size")
        _check_mode(picture)
        pixels = np.asarray(picture.convert("L" if len(image.shape) == 2 else "RGB"))
    except ServiceError:
        raise
    except Exception as error:  # the decoder raises a class of its own for every kind of damage
        raise Malformed(f"the body is not a whole PNG: {error}") from None
    low, high = _range(image)
    return spec.check((low + pixels * ((high - low) / 255))[None]), {}


def write(arrays: Arrays, image: InputSpec) -> bytes:
    """``outputs``: the picture itself when there is one row, else an enlarged grid of all rows.

    Raises NotAcceptable when the model's rows are no pictures, or too many for a grid.
    """
    if image.kind != "image":
        raise NotAcceptable("this model's rows are vectors, which no picture shows")
    pixels = _to_bytes(arrays["outputs"], image)
    buffer = BytesIO()
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else _grid(_enlarge(pixels)))
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _image(spec: RowSpec) -> InputSpec:
    if spec.image is None or spec.image.kind != "image":
        raise UnsupportedFormat(f"{spec.name} of this model are no pictures", given="image/png")
    return spec.image


def _range(image: InputSpec) -> tuple[float, float]:
    return image.range or (0.0, 1.0)


def _check_size(body: bytes, image: InputSpec, max_pixels: int) -> None:
    """What the header claims, before a decoder sees it (PNG specification, 11.2.1)."""
    if len(body) < HEADER.size or not body.startswith(SIGNATURE):
        raise Malformed("the body is not a whole PNG: it has no PNG header")
    _, width, height = HEADER.unpack_from(body)
    if width * height > max_pixels:
        raise InvalidInput(
            "the PNG has too many pixels", expected=f"at most {max_pixels}", given=width * height
        )
    if (height, width) != image.shape[:2]:
        raise InvalidInput(
            "the PNG has the wrong size",
            expected=f"{image.shape[1]}×{image.shape[0]} pixels (width × height)",
            given=f"{width}×{height}",
        )


def _check_mode(picture: Image.Image) -> None:
    if picture.mode not in READABLE_MODES:
        raise InvalidInput(
            f"the PNG has pixels of mode {picture.mode}", expected="8 bits a channel"
        )


def _to_bytes(rows: Float32, image: InputSpec) -> NDArray[np.uint8]:
    low, high = _range(image)
    scaled = (rows - low) * (255 / (high - low))
    pixels: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return pixels


def _enlarge(pixels: NDArray[Any]) -> NDArray[Any]:
    count, height, width = pixels.shape[:3]
    if count * height * width > MAX_GRID_PIXELS:
        raise NotAcceptable(
            "so many rows make too large a picture",
            expected=f"at most {MAX_GRID_PIXELS // (height * width)} rows, or another format",
            given=count,
        )
    fits = isqrt(MAX_GRID_PIXELS // (count * height * width))
    factor = max(1, min(TILE_PIXELS // max(height, width), fits))
    return pixels.repeat(factor, axis=1).repeat(factor, axis=2)


def _grid(tiles: NDArray[Any]) -> NDArray[Any]:
    """Tiles (rows, H, W[, 3]) side by side, as square as they come, with gray gaps."""
    count, height, width, *colours = tiles.shape
    across = ceil(sqrt(count))
    down = ceil(count / across)
    step = (height + GAP_PIXELS, width + GAP_PIXELS)
    canvas = np.full(
        (down * step[0] + GAP_PIXELS, across * step[1] + GAP_PIXELS, *colours), GAP_GRAY, np.uint8
    )
    for index, tile in enumerate(tiles):
        top = GAP_PIXELS + index // across * step[0]
        left = GAP_PIXELS + index % across * step[1]
        canvas[top : top + height, left : left + width] = tile
    return canvas
