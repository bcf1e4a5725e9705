"""Thumbnails in their original resolution, which the page enlarges."""

import numpy as np
import torch
from PIL import Image

from training.evaluation.pixels import Pixels, sheet, to_pixels
from training.report.model_outputs import Floats
from vae.manifest import InputSpec

SIDE = 64
"""Maximum size of a thumbnail's longer side in pixels, which limits the size of the page."""


def thumbnails(x: Floats, spec: InputSpec, side: int = SIDE) -> Pixels:
    """Rows of x as (rows, h, w, 3) uint8, reduced if the longer side exceeds ``side``."""
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


def spaced_grid(tiles: Pixels, columns: int) -> Pixels:
    """Join images, (rows, h, w, 3), to one with transparent gaps, (H, W, 4)."""
    gap = max(1, max(tiles.shape[1:3]) // 14)
    opaque = np.pad(tiles, ((0, 0), (0, 0), (0, 0), (0, 1)), mode="constant", constant_values=255)
    framed = np.pad(opaque, ((0, 0), (0, gap), (0, gap), (0, 0)), mode="constant")
    return sheet(framed, columns, fill=0)[:-gap, :-gap]
