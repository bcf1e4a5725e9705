"""The pictures: what lies where."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from training.evaluation import pixels as raster
from training.export import images
from vae.manifest import InputSpec

GRAY = InputSpec(kind="image", shape=(2, 4), dtype="uint8", range=(0, 16))


def test_black_and_white_are_the_ends_of_the_range() -> None:
    x = torch.tensor([[[0.0, 16.0, 8.0, -5.0], [20.0, 4.0, 0.0, 0.0]]])
    pixels = raster.to_pixels(x, GRAY)
    assert pixels.shape == (1, 2, 4, 3)
    assert pixels[0, ..., 0].tolist() == [[0, 255, 128, 0], [255, 64, 0, 0]]


def test_without_a_range_the_values_own_is_taken() -> None:
    spec = InputSpec(kind="image", shape=(1, 2), dtype="float32")
    assert raster.to_pixels(torch.tensor([[[-3.0, 5.0]]]), spec)[0, 0, :, 0].tolist() == [
        0,
        255,
    ]


def test_a_grid_has_each_picture_in_its_place() -> None:
    tiles = np.stack([np.full((8, 8, 3), value, np.uint8) for value in range(5)])
    sheet = raster.grid(tiles, columns=2)
    pitch = raster.TILE + raster.GAP
    assert sheet.shape == (3 * pitch + raster.GAP, 2 * pitch + raster.GAP, 3)
    middle = raster.GAP + raster.TILE // 2
    found = [[sheet[middle + r * pitch, middle + c * pitch, 0] for c in (0, 1)] for r in range(3)]
    assert found == [[0, 1], [2, 3], [4, raster.WHITE]]


@pytest.mark.parametrize("epochs", [1, 3, 50])
def test_curves_draw_runs_of_any_length_and_gaps(epochs: int) -> None:
    line = {"elbo": -1.0, "held_out_elbo": None, "kl": 1.0, "active_units": 2}
    history = [{**line, "epoch": epoch} for epoch in range(1, epochs + 1)]
    with Image.open(BytesIO(images.curves(history))) as picture:
        assert picture.format == "PNG"
