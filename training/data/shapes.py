"""Pictures in colour that are drawn, not downloaded: a textured shape before a gradient.

What blur loses is in them: edges, anti-aliased over a pixel, and textures of three to six pixels
a period; and a little noise, as a camera has it, without which most levels could be known for
certain.
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
"""Deviation of the noise of a pixel, in levels of 255."""

CLASSES = ("cross", "disc", "ring", "square", "triangle")
TEXTURES = ("plain", "stripes", "checks")

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


class Plane(NamedTuple):
    """Where each pixel of each picture lies, (rows, SIDE, SIDE), in pixels from some centre."""

    x: Floats
    y: Floats

    def turned(self, angle: Floats) -> "Plane":
        """The same, turned by an angle for each picture."""
        cos, sin = np.cos(angle), np.sin(angle)
        return Plane(cos * self.x + sin * self.y, cos * self.y - sin * self.x)


def load_shapes(rows: int = ROWS) -> Dataset:
    """(rows, 16, 16, 3), uint8, labelled by CLASSES; always the same."""
    noise = np.random.default_rng(SEED)
    kind = noise.integers(len(CLASSES), size=rows)
    picture = _blend(_background(noise, rows), _surface(noise, rows), _cover(noise, kind))
    levels = 255 * picture + NOISE * noise.standard_normal(picture.shape)
    return Dataset(
        torch.from_numpy(levels.round().clip(0, 255).astype(np.uint8)),
        InputSpec(kind="image", shape=(SIDE, SIDE, 3), dtype="uint8", range=(0, 255)),
        torch.from_numpy(kind),
        CLASSES,
    )


def _background(noise: Generator, rows: int) -> Floats:
    """From one colour to another, in any direction."""
    plane = _plane(rows).turned(_angle(noise, rows))
    return _blend(_colour(noise, rows), _colour(noise, rows), 0.5 + plane.x / (1.5 * SIDE))


def _surface(noise: Generator, rows: int) -> Floats:
    """What covers a shape: two colours in one of the TEXTURES."""
    plane = _plane(rows).turned(_angle(noise, rows))
    pace = 2 * np.pi / _uniform(noise, 3, 6, rows)
    along = np.sin(pace * plane.x + _angle(noise, rows))
    across = np.sin(pace * plane.y + _angle(noise, rows))
    texture = noise.integers(len(TEXTURES), size=rows)[:, None, None]
    share = np.choose(texture, [np.zeros_like(along), 0.5 + along / 2, 0.5 + along * across / 2])
    return _blend(_colour(noise, rows), _colour(noise, rows), share)


def _cover(noise: Generator, kind: Labels) -> Floats:
    """The share of each pixel that lies in the shape, by its distance from the edge."""
    rows = len(kind)
    plane = _plane(rows)
    x, y = (axis - _uniform(noise, -3, 3, rows) for axis in plane)
    inside = _inside(Plane(x, y).turned(_angle(noise, rows)), _uniform(noise, 3.5, 6.5, rows))
    return np.clip(0.5 + np.choose(kind[:, None, None], inside), 0, 1)


def _inside(plane: Plane, radius: Floats) -> list[Floats]:
    """How far each pixel lies inside of each of the CLASSES, in pixels; negative outside."""
    x, y = np.abs(plane.x), np.abs(plane.y)
    far = np.hypot(x, y)
    cross = np.minimum(radius - np.maximum(x, y), radius / 3 - np.minimum(x, y))
    disc = radius - far
    ring = radius / 4 - np.abs(far - 0.75 * radius)
    square = 0.8 * radius - np.maximum(x, y)
    triangle = radius / 2 - np.maximum(plane.y, np.sqrt(0.75) * x - plane.y / 2)
    return [cross, disc, ring, square, triangle]


def _plane(rows: int) -> Plane:
    place = np.arange(SIDE) - (SIDE - 1) / 2
    y, x = np.meshgrid(place, place, indexing="ij")
    return Plane(np.broadcast_to(x, (rows, SIDE, SIDE)), np.broadcast_to(y, (rows, SIDE, SIDE)))


def _blend(first: Floats, second: Floats, share: Floats) -> Floats:
    """(rows, SIDE, SIDE, 3): the second colour by its share of each pixel, the rest the first."""
    second_share = np.clip(share, 0, 1)[..., None]
    return first + second_share * (second - first)


def _colour(noise: Generator, rows: int) -> Floats:
    """Red, green and blue of each picture, from 0 to 1."""
    return noise.uniform(size=(rows, 1, 1, 3))


def _angle(noise: Generator, rows: int) -> Floats:
    return _uniform(noise, 0, 2 * np.pi, rows)


def _uniform(noise: Generator, low: float, high: float, rows: int) -> Floats:
    """A number for each picture."""
    return noise.uniform(low, high, size=(rows, 1, 1))
