"""Small pictures, pixel for pixel: the page enlarges them."""

import numpy as np
import torch
from PIL import Image

from training.evaluation.pixels import Pixels, sheet, to_pixels
from training.report.model_outputs import Floats
from vae.manifest import InputSpec

SIDE = 64
"""Pixels of a picture's longer side at most: 64 pictures of any size stay a small page."""


def small(x: Floats, spec: InputSpec, side: int = SIDE) -> Pixels:
    """Rows of x as (rows, h, w, 3) bytes, the longer side brought down to ``side``."""
    pixels = to_pixels(torch.from_numpy(x), spec)
    longest = max(pixels.shape[1:3])
    if longest <= side:
        return pixels
    height, width = (max(1, round(edge * side / longest)) for edge in pixels.shape[1:3])
    resized = [
        np.asarray(Image.fromarray(tile).resize((width, height), Image.Resampling.BOX))
        for tile in pixels
    ]
    return np.stack(resized)


def spaced(tiles: Pixels, columns: int) -> Pixels:
    """(rows, h, w, 3) as one picture with an alpha channel: the gaps are transparent."""
    gap = max(1, max(tiles.shape[1:3]) // 14)
    opaque = np.pad(tiles, ((0, 0), (0, 0), (0, 0), (0, 1)), mode="constant", constant_values=255)
    framed = np.pad(opaque, ((0, 0), (0, gap), (0, gap), (0, 0)), mode="constant")
    return sheet(framed, columns, fill=0)[:-gap, :-gap]
