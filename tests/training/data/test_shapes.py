import torch

from training.data.load import load_dataset
from training.data.shapes import CLASSES, load_shapes


def test_they_are_a_data_set_of_pictures_in_colour() -> None:
    shapes = load_dataset("shapes")
    assert shapes.x.shape == (12_000, *shapes.input.shape) == (12_000, 16, 16, 3)
    assert shapes.x.dtype == torch.uint8
    assert shapes.x.is_contiguous()
    assert (shapes.x.min(), shapes.x.max()) == shapes.input.range == (0, 255)


def test_they_are_always_the_same() -> None:
    assert torch.equal(load_shapes(20).x, load_shapes(20).x)


def test_they_are_labelled_by_the_shape() -> None:
    shapes = load_shapes(500)
    assert shapes.classes == CLASSES
    assert shapes.labels is not None
    counts = torch.bincount(shapes.labels, minlength=len(CLASSES))
    assert len(counts) == len(CLASSES)
    assert counts.min() > 50


def test_no_picture_is_plain() -> None:
    deviation = load_shapes(500).x.float().flatten(1).std(dim=1)
    assert deviation.min() > 8  # far above that of the noise
