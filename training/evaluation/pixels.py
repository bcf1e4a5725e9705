"""From rows of images to the pixels of one PNG."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vae.manifest import InputSpec

Pixels = NDArray[np.uint8]


TILE = 64
"""Pixels that a picture's longer side is brought to, in whole steps: 8×8 digits are visible."""


GAP = 4


PAPER = 255


COLUMNS = 8


def to_pixels(x: Tensor, spec: InputSpec) -> Pixels:
    """(rows, H, W, 3) bytes: ``spec.range`` is black to white, or the values' own range is."""
    values = x.numpy()
    low, high = spec.range or (float(values.min()), float(values.max()))
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    pixels = np.rint(scaled * 255).astype(np.uint8)
    return pixels if pixels.ndim == 4 else np.repeat(pixels[..., None], 3, axis=3)


def grid(pictures: Pixels, columns: int = COLUMNS) -> Pixels:
    """Pictures (n, H, W, 3) in rows of ``columns``, each pixel grown to a square."""
    scale = max(1, TILE // max(pictures.shape[1:3]))
    large = pictures.repeat(scale, axis=1).repeat(scale, axis=2)
    framed = np.pad(
        large, ((0, 0), *[(0, GAP)] * 2, (0, 0)), mode="constant", constant_values=PAPER
    )
    return np.pad(
        sheet(framed, columns),
        ((GAP, 0), (GAP, 0), (0, 0)),
        mode="constant",
        constant_values=PAPER,
    )


def sheet(pictures: Pixels, columns: int, fill: int = PAPER) -> Pixels:
    """Pictures (n, H, W, channels) side by side as one, ``fill`` where the last row has none."""
    filled = np.pad(
        pictures,
        ((0, -len(pictures) % columns), *[(0, 0)] * 3),
        mode="constant",
        constant_values=fill,
    )
    height, width, channels = filled.shape[1:]
    rows = filled.reshape(-1, columns, height, width, channels).swapaxes(1, 2)
    return rows.reshape(-1, columns * width, channels)


def to_png(pixels: Pixels) -> bytes:
    """The bytes of a PNG file of one picture, (H, W, 3)."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
