"""From labels and numbers to conditions, and from each source to them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import csv, parquet

from training.data.conditions import condition_section, condition_tensor
from training.data.dataset import DataError, Dataset, split_dataset
from training.data.load import load_dataset
from vae.manifest import BernoulliSpec, Condition, InputSpec, MLPSpec, ModelSpec, VectorCondition

ROW = InputSpec(kind="vector", shape=(1,), dtype="float32")


def dataset(labels: list[int] | None, names: tuple[str, ...] | None = None) -> Dataset:
    rows = 4 if labels is None else len(labels)
    found = None if labels is None else torch.tensor(labels)
    return Dataset(torch.zeros(rows, 1), ROW, found, names)


def spec(condition: Condition | None) -> ModelSpec:
    return ModelSpec(
        input=ROW, latent_dim=1, likelihood=BernoulliSpec(), network=MLPSpec(), condition=condition
    )


def test_labels_become_one_number_a_class() -> None:
    train = dataset([7, 3, 7, 11])
    assert condition_section(train).names == ("3", "7", "11")
    c = condition_tensor(train, spec(condition_section(train)))
    assert c is not None
    assert c.tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert c.dtype == torch.float32


def test_names_of_the_source_are_the_classes_names() -> None:
    train = dataset([1, 0], ("cat", "dog"))
    assert condition_section(train).names == ("cat", "dog")
    held_out = condition_tensor(dataset([1], ("cat", "dog")), spec(condition_section(train)))
    assert held_out is not None
    assert held_out.tolist() == [[0, 1]]


def test_what_gives_no_condition_is_named() -> None:
    assert condition_tensor(dataset(None), spec(None)) is None
    with pytest.raises(DataError, match="needs labels or condition values: a folder"):
        condition_section(dataset(None))
    with pytest.raises(DataError, match="needs 2 to 1000 classes; there are 1"):
        condition_section(dataset([4, 4]))
    with pytest.raises(DataError, match="labels 9: the model has only the classes"):
        condition_tensor(dataset([1, 9]), spec(condition_section(dataset([1, 2]))))
    with pytest.raises(DataError, match="these rows have no labels"):
        condition_tensor(dataset(None), spec(condition_section(dataset([1, 2]))))


def test_a_folder_of_folders_has_their_names_as_condition_of(tmp_path: Path) -> None:
    for name, number in (("dog", 1), ("cat", 0), ("cat/deeper", 2)):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(tmp_path / name / f"{number}.png")
    found = load_dataset(str(tmp_path))
    assert found.classes == ("cat", "dog")
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 1]
    assert found.x[:, 0, 0].tolist() == [0, 2, 1]
    parts = split_dataset(found, 0.4, 0)
    assert all(part.classes == found.classes for part in parts)
    Image.new("L", (8, 8)).save(tmp_path / "loose.png")
    assert load_dataset(str(tmp_path)).labels is None


def test_an_array_beside_x_is_its_labels(tmp_path: Path) -> None:
    x, y = np.zeros((5, 3), np.float32), np.array([0, 1, 2, 1, 0], np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    found = load_dataset(str(tmp_path / "data.npz"))
    assert found.labels is not None
    assert found.labels.tolist() == y.tolist()
    for other in (y[:3], y + 0.5, y[:, None]):
        np.savez(tmp_path / "data.npz", x=x, labels=other)
        assert load_dataset(str(tmp_path / "data.npz")).labels is None


def test_numbers_beside_x_are_told_as_they_are_and_scaled_by_the_model(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, c = random.random((50, 3), np.float32), random.normal(170, 9, (50, 2))
    np.savez(tmp_path / "data.npz", x=x, c=c, y=np.arange(50))
    train, held_out = split_dataset(load_dataset(str(tmp_path / "data.npz")), 0.2, 0)
    told = condition_section(train)
    assert isinstance(told, VectorCondition)
    assert told.names == ("c0", "c1")
    assert train.c is not None
    np.testing.assert_allclose(told.preprocessing.shift, train.c.mean(0), rtol=1e-5)
    np.testing.assert_allclose(told.preprocessing.scale, train.c.std(0, correction=0), rtol=1e-4)
    assert condition_tensor(held_out, spec(told)) is held_out.c
    place = int((torch.tensor(x) == held_out.x[0]).all(1).nonzero())
    np.testing.assert_allclose(held_out.c[0] if held_out.c is not None else 0, c[place], rtol=1e-6)
    with pytest.raises(DataError, match="needs the condition c0, c1; these rows have nothing"):
        condition_tensor(dataset([1]), spec(told))


def test_one_number_a_row_is_a_vector_of_one_and_a_constant_is_only_shifted(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 3)), c=np.full(4, 7))
    told = condition_section(load_dataset(str(tmp_path / "data.npz")))
    assert isinstance(told, VectorCondition)
    assert (told.names, told.preprocessing.shift, told.preprocessing.scale) == (("c0",), (7,), (1,))


@pytest.mark.parametrize("shape", [(3,), (5, 2, 2), (5, 0), ()])
def test_numbers_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((5, 3)), c=np.zeros(shape))
    with pytest.raises(DataError, match=r"c has shape .*; expected \(5, any\)"):
        load_dataset(str(tmp_path / "data.npz"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_are_told_and_no_part_of_x(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    table = pa.table({"a": [1.0, 2.0], "b": [3, 4], "d": [5, 6]})
    (csv.write_csv if suffix == "csv" else parquet.write_table)(table, path)
    found = load_dataset(str(path), condition_columns=("d", "a"))
    assert (found.input.columns, found.c_names) == (("b",), ("d", "a"))
    assert found.c is not None
    assert found.c.tolist() == [[5, 1], [6, 2]]
    assert load_dataset(str(path), columns=("a", "b"), condition_columns=("a",)).input.columns == (
        "a",
        "b",
    )
    with pytest.raises(DataError, match='no column "z"'):
        load_dataset(str(path), condition_columns=("z",))
