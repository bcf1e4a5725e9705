"""Binary images with eight pixels in a byte."""

from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import DataError
from training.data.load import load_dataset

BITS = np.random.default_rng(0).integers(0, 2, (9, 28, 28), np.uint8)
PACKED = np.packbits(BITS.reshape(9, 784), axis=1)


@pytest.fixture
def binarise_dataset(tmp_path: Path) -> Path:
    path = tmp_path / "binarised.npz"
    np.savez(path, train=PACKED[:5], valid=PACKED[5:7], test=PACKED[7:])
    return path


@pytest.mark.parametrize(
    ("part", "rows"),
    [
        ("", slice(5)),
        (":train", slice(5)),
        (":valid", slice(5, 7)),
        (":test", slice(7, 9)),
        (":train+valid", slice(7)),
        (":valid+test", slice(5, 9)),
    ],
)
def test_the_bits_come_out_as_images(binarise_dataset: Path, part: str, rows: slice) -> None:
    dataset = load_dataset(f"{binarise_dataset}{part}")
    assert np.array_equal(dataset.x.numpy(), BITS[rows])
    assert (dataset.input.kind, dataset.input.shape) == ("image", (28, 28))
    assert (dataset.input.dtype, dataset.input.range) == ("uint8", (0, 1))


def test_bytes_under_other_names_are_bytes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train=PACKED, labels=np.arange(9))
    assert np.array_equal(load_dataset(str(tmp_path / "a.npz")).x.numpy(), PACKED)


def test_a_part_that_is_not_there_is_named_with_those_that_are(binarise_dataset: Path) -> None:
    with pytest.raises(DataError, match=r"contains train, valid, test; expected .* named eval$"):
        load_dataset(f"{binarise_dataset}:eval")


def test_of_parts_that_are_put_together_each_must_be_there(binarise_dataset: Path) -> None:
    with pytest.raises(DataError, match=r"or one of them named train and one named eval$"):
        load_dataset(f"{binarise_dataset}:train+eval")


def test_only_rows_of_one_kind_are_put_together(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros((2, 3)), b=np.zeros((2, 4)), n=np.float64(1))
    with pytest.raises(
        DataError, match=r"rows of a float64 \(3,\), b float64 \(4,\) have different"
    ):
        load_dataset(f"{tmp_path}/a.npz:a+b")
    with pytest.raises(DataError, match=r"rows of n float64 \(\), n float64 \(\) have different"):
        load_dataset(f"{tmp_path}/a.npz:n+n")


def test_a_plus_may_be_in_a_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"a": np.zeros((2, 3)), "a+a": np.ones((3, 3))})
    assert load_dataset(f"{tmp_path}/a.npz:a+a").x.shape == (3, 3)


def test_only_the_part_that_is_asked_for_will_do(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", rows=np.zeros((2, 3)))
    assert (
        load_dataset(f"{tmp_path}/one.npz").x.shape
        == load_dataset(f"{tmp_path}/one.npz:rows").x.shape
    )
    with pytest.raises(
        DataError, match="contains rows; expected a single array, or one of them named x"
    ):
        load_dataset(f"{tmp_path}/one.npz:x")


def test_a_file_of_one_array_has_no_parts(tmp_path: Path) -> None:
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.zeros((2, 3)))
    with pytest.raises(DataError, match="is a single array; it has no part x"):
        load_dataset(f"{tmp_path}/one.npz:x")
