"""Convert rows of images to pixels, arrange them in a grid, and encode a PNG."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vae.manifest import InputSpec

Pixels = NDArray[np.uint8]


TILE = 64
"""Minimum size in pixels of an image's longer side; small images are enlarged by whole factors."""


GAP = 4


WHITE = 255


COLUMNS = 8


def to_pixels(x: Tensor, spec: InputSpec) -> Pixels:
    """Images as (rows, H, W, 3) uint8, black and white are ``spec.range`` or the extremes."""
    values = x.numpy()
    low, high = spec.range or (float(values.min()), float(values.max()))
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    pixels = np.rint(scaled * 255).astype(np.uint8)
    return pixels if pixels.ndim == 4 else np.repeat(pixels[..., None], 3, axis=3)


def grid(images: Pixels, columns: int = COLUMNS) -> Pixels:
    """Arrange images (n, H, W, 3) in rows of ``columns``; small images are enlarged."""
    scale = max(1, TILE // max(images.shape[1:3]))
    large = images.repeat(scale, axis=1).repeat(scale, axis=2)
    framed = np.pad(
        large, ((0, 0), *[(0, GAP)] * 2, (0, 0)), mode="constant", constant_values=WHITE
    )
    return np.pad(
        sheet(framed, columns),
        ((GAP, 0), (GAP, 0), (0, 0)),
        mode="constant",
        constant_values=WHITE,
    )


def sheet(images: Pixels, columns: int, fill: int = WHITE) -> Pixels:
    """Join images (n, H, W, channels) to one, with ``fill`` at the end of the last row."""
    filled = np.pad(
        images,
        ((0, -len(images) % columns), *[(0, 0)] * 3),
        mode="constant",
        constant_values=fill,
    )
    height, width, channels = filled.shape[1:]
    rows = filled.reshape(-1, columns, height, width, channels).swapaxes(1, 2)
    return rows.reshape(-1, columns * width, channels)


def to_png(pixels: Pixels) -> bytes:
    """Encode one image, (H, W, 3), as PNG."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
