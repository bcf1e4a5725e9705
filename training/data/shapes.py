"""Synthetic colour images, drawn on demand: a textured shape in front of a gradient.

They contain what blur removes: anti-aliased edges and textures with a period of three to six
pixels. A little noise, like that of a camera, keeps most levels from being predictable with
certainty.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from training.data.dataset import Dataset
from vae.manifest import InputSpec

ROWS = 12_000
SIDE = 16
SEED = 0
NOISE = 2.0
"""Standard deviation of a pixel's noise, in levels of 255."""

CLASSES = ("cross", "disc", "ring", "square", "triangle")
TEXTURES = ("plain", "stripes", "checks")

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


class PixelGrid(NamedTuple):
    """Coordinates of each pixel of each image, (rows, SIDE, SIDE), in pixels from a centre."""

    x: Floats
    y: Floats

    def rotated(self, angle: Floats) -> "PixelGrid":
        """The coordinates, rotated by one angle per image."""
        cos, sin = np.cos(angle), np.sin(angle)
        return PixelGrid(cos * self.x + sin * self.y, cos * self.y - sin * self.x)


def load_shapes(rows: int = ROWS) -> Dataset:
    """The images, (rows, 16, 16, 3) uint8, with labels from CLASSES; the same at every call."""
    noise = np.random.default_rng(SEED)
    kind = noise.integers(len(CLASSES), size=rows)
    image = _blend(_background(noise, rows), _surface(noise, rows), _cover(noise, kind))
    levels = 255 * image + NOISE * noise.standard_normal(image.shape)
    return Dataset(
        torch.from_numpy(levels.round().clip(0, 255).astype(np.uint8)),
        InputSpec(kind="image", shape=(SIDE, SIDE, 3), dtype="uint8", range=(0, 255)),
        torch.from_numpy(kind),
        CLASSES,
    )


def _background(noise: Generator, rows: int) -> Floats:
    """A gradient between two colours in a random direction."""
    plane = _plane(rows).rotated(_angle(noise, rows))
    return _blend(_colour(noise, rows), _colour(noise, rows), 0.5 + plane.x / (1.5 * SIDE))


def _surface(noise: Generator, rows: int) -> Floats:
    """The surface of a shape: two colours in one of the TEXTURES."""
    plane = _plane(rows).rotated(_angle(noise, rows))
    frequency = 2 * np.pi / _uniform(noise, 3, 6, rows)
    along = np.sin(frequency * plane.x + _angle(noise, rows))
    across = np.sin(frequency * plane.y + _angle(noise, rows))
    texture = noise.integers(len(TEXTURES), size=rows)[:, None, None]
    share = np.choose(texture, [np.zeros_like(along), 0.5 + along / 2, 0.5 + along * across / 2])
    return _blend(_colour(noise, rows), _colour(noise, rows), share)


def _cover(noise: Generator, kind: Labels) -> Floats:
    """The share of each pixel inside the shape, from its distance to the edge."""
    rows = len(kind)
    plane = _plane(rows)
    x, y = (axis - _uniform(noise, -3, 3, rows) for axis in plane)
    inside = _inside(PixelGrid(x, y).rotated(_angle(noise, rows)), _uniform(noise, 3.5, 6.5, rows))
    return np.clip(0.5 + np.choose(kind[:, None, None], inside), 0, 1)


def _inside(plane: PixelGrid, radius: Floats) -> list[Floats]:
    """The distance of each pixel to the edge of each of the CLASSES; negative outside."""
    x, y = np.abs(plane.x), np.abs(plane.y)
    far = np.hypot(x, y)
    cross = np.minimum(radius - np.maximum(x, y), radius / 3 - np.minimum(x, y))
    disc = radius - far
    ring = radius / 4 - np.abs(far - 0.75 * radius)
    square = 0.8 * radius - np.maximum(x, y)
    triangle = radius / 2 - np.maximum(plane.y, np.sqrt(0.75) * x - plane.y / 2)
    return [cross, disc, ring, square, triangle]


def _plane(rows: int) -> PixelGrid:
    place = np.arange(SIDE) - (SIDE - 1) / 2
    y, x = np.meshgrid(place, place, indexing="ij")
    return PixelGrid(np.broadcast_to(x, (rows, SIDE, SIDE)), np.broadcast_to(y, (rows, SIDE, SIDE)))


def _blend(first: Floats, second: Floats, share: Floats) -> Floats:
    """(rows, SIDE, SIDE, 3): a mixture of two colours with ``share`` of the second one."""
    second_share = np.clip(share, 0, 1)[..., None]
    return first + second_share * (second - first)


def _colour(noise: Generator, rows: int) -> Floats:
    """Red, green and blue of each image, 0 to 1."""
    return noise.uniform(size=(rows, 1, 1, 3))


def _angle(noise: Generator, rows: int) -> Floats:
    return _uniform(noise, 0, 2 * np.pi, rows)


def _uniform(noise: Generator, low: float, high: float, rows: int) -> Floats:
    """One number per image."""
    return noise.uniform(low, high, size=(rows, 1, 1))
