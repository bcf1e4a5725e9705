"""From labels to conditions, and from each source to labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.data.conditions import classes, conditions
from training.data.dataset import DataError, Dataset, split
from training.data.load import load
from vae.manifest import MLP, Bernoulli, Classes, InputSpec, ModelSpec

ROW = InputSpec(kind="vector", shape=(1,), dtype="float32")


def dataset(labels: list[int] | None, names: tuple[str, ...] | None = None) -> Dataset:
    rows = 4 if labels is None else len(labels)
    found = None if labels is None else torch.tensor(labels)
    return Dataset(torch.zeros(rows, 1), ROW, found, names)


def spec(condition: Classes | None) -> ModelSpec:
    return ModelSpec(
        input=ROW, latent_dim=1, likelihood=Bernoulli(), network=MLP(), condition=condition
    )


def test_labels_become_one_number_a_class() -> None:
    train = dataset([7, 3, 7, 11])
    assert classes(train).names == ("3", "7", "11")
    c = conditions(train, spec(classes(train)))
    assert c is not None
    assert c.tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert c.dtype == torch.float32


def test_names_of_the_source_are_the_classes_names() -> None:
    train = dataset([1, 0], ("cat", "dog"))
    assert classes(train).names == ("cat", "dog")
    held_out = conditions(dataset([1], ("cat", "dog")), spec(classes(train)))
    assert held_out is not None
    assert held_out.tolist() == [[0, 1]]


def test_what_gives_no_condition_is_named() -> None:
    assert conditions(dataset(None), spec(None)) is None
    with pytest.raises(DataError, match="needs labels: folders of images"):
        classes(dataset(None))
    with pytest.raises(DataError, match="needs 2 to 1000 classes; there are 1"):
        classes(dataset([4, 4]))
    with pytest.raises(DataError, match="labels 9: no training row has them"):
        conditions(dataset([1, 9]), spec(classes(dataset([1, 2]))))
    with pytest.raises(DataError, match="these rows have no labels"):
        conditions(dataset(None), spec(classes(dataset([1, 2]))))


def test_a_folder_of_folders_has_their_names_as_classes(tmp_path: Path) -> None:
    for name, number in (("dog", 1), ("cat", 0), ("cat/deeper", 2)):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(tmp_path / name / f"{number}.png")
    found = load(str(tmp_path))
    assert found.classes == ("cat", "dog")
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 1]
    assert found.x[:, 0, 0].tolist() == [0, 2, 1]
    parts = split(found, 0.4, 0)
    assert all(part.classes == found.classes for part in parts)
    Image.new("L", (8, 8)).save(tmp_path / "loose.png")
    assert load(str(tmp_path)).labels is None


def test_an_array_beside_x_is_its_labels(tmp_path: Path) -> None:
    x, y = np.zeros((5, 3), np.float32), np.array([0, 1, 2, 1, 0], np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    found = load(str(tmp_path / "data.npz"))
    assert found.labels is not None
    assert found.labels.tolist() == y.tolist()
    for other in (y[:3], y + 0.5, y[:, None]):
        np.savez(tmp_path / "data.npz", x=x, labels=other)
        assert load(str(tmp_path / "data.npz")).labels is None
