import numpy as np
import pytest
import torch

from training.data.dataset import DataError, Dataset, split_dataset
from training.data.numpy_files import from_array
from training.data.scaling import preprocessing_section
from vae.manifest import Preprocessing
from vae.networks import Preprocess


def numbered(rows: int) -> Dataset:
    """Vectors of one element, whose value is the row's number."""
    return from_array(np.arange(rows, dtype=np.float32).reshape(rows, 1), "numbers")


def apply(spec: Preprocessing, x: torch.Tensor) -> torch.Tensor:
    return Preprocess(spec)(x)


def test_a_split_has_every_row_once() -> None:
    train, held_out = split_dataset(numbered(100), 0.2, seed=0)
    assert (len(train), len(held_out)) == (80, 20)
    assert sorted(torch.cat([train.x, held_out.x]).flatten().tolist()) == list(range(100))
    assert train.x.is_contiguous()
    assert train.input == held_out.input == numbered(1).input


def test_the_seed_decides_the_split() -> None:
    held_out = [split_dataset(numbered(100), 0.2, seed)[1].x for seed in (1, 1, 2)]
    assert torch.equal(held_out[0], held_out[1])
    assert not torch.equal(held_out[0], held_out[2])


def test_a_split_mixes_sorted_rows() -> None:
    train, _ = split_dataset(numbered(100), 0.5, seed=0)
    assert 20 < train.x.mean() < 79


@pytest.mark.parametrize("held_out", [0.0, 1.0, -0.5, 1.5, 0.01, 0.99, float("nan")])
def test_both_parts_of_a_split_have_rows(held_out: float) -> None:
    with pytest.raises(DataError, match=f"held-out fraction of {held_out}"):
        split_dataset(numbered(10), held_out, seed=0)


def test_range_brings_bytes_to_the_unit_interval() -> None:
    images = from_array(np.array([[[0, 51], [102, 255]]], np.uint8), "images")
    x = apply(preprocessing_section(images, "range"), images.x)
    assert x.tolist() == [pytest.approx([0, 0.2, 0.4, 1])]


def test_range_starts_at_low() -> None:
    images = from_array(np.array([[[-1.0, 0.0], [0.5, 1.0]]]), "images")
    x = apply(preprocessing_section(images, "range"), images.x)
    assert x.tolist() == [pytest.approx([0, 0.5, 0.75, 1])]


def test_range_of_unbounded_data_is_refused() -> None:
    with pytest.raises(DataError, match="known bounds"):
        preprocessing_section(numbered(3), "range")


def test_vectors_are_standardised_by_column() -> None:
    values = np.random.default_rng(0).normal([5, -300], [0.1, 40], (1000, 2))
    vectors = from_array(values, "vectors")
    x = apply(preprocessing_section(vectors, "standardise"), vectors.x).double()
    assert x.mean(0).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert x.std(0, unbiased=False).tolist() == pytest.approx([1, 1], rel=1e-5)


def test_images_are_standardised_together() -> None:
    images = from_array(np.array([[[0, 10], [20, 250]], [[0, 10], [20, 50]]], np.uint8), "images")
    spec = preprocessing_section(images, "standardise")
    assert spec.shift == (pytest.approx(45),)
    assert spec.scale == (pytest.approx(images.x.numpy().std()),)


@pytest.mark.parametrize("constant", [0.0, 0.1, -3e30, 1e-40])
def test_a_constant_column_is_only_shifted(
    constant: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.row_source.CHUNK_ELEMENTS", 14)
    values = np.array([[constant, row] for row in range(997)])
    vectors = from_array(values, "vectors")
    spec = preprocessing_section(vectors, "standardise")
    assert spec.scale[0] == 1
    assert spec.shift[0] == pytest.approx(constant)


def test_a_deviation_that_float32_loses_is_taken_as_constant() -> None:
    vectors = from_array(np.array([[0.0], [1e-44]]), "vectors")
    assert preprocessing_section(vectors, "standardise").scale == (1,)


def test_statistics_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = from_array(np.random.default_rng(0).normal(size=(100, 3)), "vectors")
    whole = preprocessing_section(vectors, "standardise")
    monkeypatch.setattr("training.data.row_source.CHUNK_ELEMENTS", 7)
    pieces = preprocessing_section(vectors, "standardise")
    assert pieces.shift == pytest.approx(whole.shift)
    assert pieces.scale == pytest.approx(whole.scale)


def test_none_leaves_x_alone() -> None:
    assert preprocessing_section(numbered(3), "none") == Preprocessing()


def test_labels_go_with_their_rows() -> None:
    whole = Dataset(numbered(10).x * 2, numbered(10).input, torch.arange(10))
    for part in split_dataset(whole, 0.3, seed=0):
        assert part.labels is not None
        assert torch.equal(part.labels.float() * 2, part.x[:, 0])
