from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training.data.dataset import DataError
from training.data.numpy_files import from_array, load_arrays


@pytest.mark.parametrize(
    ("shape", "kind", "row"),
    [
        ((4, 5), "vector", (5,)),
        ((4, 5, 6), "image", (5, 6)),
        ((4, 5, 6, 1), "image", (5, 6)),
        ((4, 5, 6, 3), "image", (5, 6, 3)),
        ((1, 1), "vector", (1,)),
    ],
)
def test_the_shape_tells_vectors_from_images(
    shape: tuple[int, ...], kind: str, row: tuple[int, ...]
) -> None:
    dataset = from_array(np.zeros(shape), "x")
    assert (dataset.input.kind, dataset.input.shape) == (kind, row)
    assert dataset.x.shape == (shape[0], *row)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("u1", torch.uint8),
        ("?", torch.uint8),
        ("i1", torch.float32),
        (">i2", torch.float32),
        ("i8", torch.float32),
        ("f2", torch.float32),
        (">f4", torch.float32),
        ("f8", torch.float32),
    ],
)
def test_bytes_stay_bytes_and_other_numbers_become_float32(
    dtype: str, expected: torch.dtype
) -> None:
    dataset = from_array(np.array([[0, 1], [1, 0]], dtype), "x")
    assert dataset.x.dtype == expected
    assert dataset.input.dtype == str(expected).removeprefix("torch.")
    assert dataset.x.tolist() == [[0, 1], [1, 0]]


def test_any_memory_order_becomes_contiguous() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(4, 3, 2).transpose(2, 1, 0)
    dataset = from_array(array, "x")
    assert dataset.x.is_contiguous()
    assert np.array_equal(dataset.x.numpy(), array)


def test_the_data_set_owns_its_memory() -> None:
    array = np.zeros((2, 2), np.uint8)
    dataset = from_array(array, "x")
    array[:] = 7
    assert dataset.x.sum() == 0


@pytest.mark.parametrize(
    ("values", "dtype", "bounds"),
    [
        ([[[0, 200]]], "u1", (0, 255)),
        ([[[0, 1]]], "u1", (0, 1)),
        ([[0, 200]], "u1", (0, 255)),
        ([[[0.2, 0.9]]], "f4", (0, 1)),
        ([[[-0.2, 0.9]]], "f4", (-1, 1)),
        ([[[3.0, 90.0]]], "f4", (3, 90)),
        ([[[3, 90]]], "i8", (3, 90)),
        ([[[7.0, 7.0]]], "f4", None),
        ([[0.2, 0.9]], "f4", None),
    ],
)
def test_range(values: list[Any], dtype: str, bounds: tuple[float, float] | None) -> None:
    assert from_array(np.array(values, dtype), "x").input.range == bounds


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"shape \(3,\); expected vectors"),
        (np.zeros(()), r"shape \(\); expected vectors"),
        (np.zeros((2, 5, 5, 2)), r"shape \(2, 5, 5, 2\)"),
        (np.zeros((2, 3, 5, 5)), "channels come last"),
        (np.zeros((0, 5)), r"empty: its shape is \(0, 5\)"),
        (np.zeros((5, 0)), "empty"),
        (np.zeros((2, 2), complex), "complex128; expected real numbers"),
        (np.array([["a", "b"]]), "expected real numbers"),
        (np.array([[1, 2], [3, np.nan]]), r"x\[1, 1\] is nan"),
        (np.array([[[1, -np.inf]]]), r"x\[0, 0, 1\] is -inf"),
        (np.array([[1.0], [1e39]]), r"x\[1, 0\] is 1e\+39, which is not finite in float32"),
    ],
)
def test_an_unusable_array_is_refused(array: np.ndarray[Any, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_array(array, "x")


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(3))
    assert load_arrays(tmp_path / "a.npy").x.tolist() == np.eye(3).tolist()


@pytest.mark.parametrize("name", ["x", "X", "images", "data", "x_train"])
def test_npz_with_a_known_name(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "a.npz", **{"y": np.zeros(3), name: np.eye(3)})  # type: ignore[arg-type]
    assert load_arrays(tmp_path / "a.npz").x.tolist() == np.eye(3).tolist()


def test_npz_with_one_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", whatever=np.eye(3))
    assert len(load_arrays(tmp_path / "a.npz")) == 3


def test_npz_without_a_known_name_lists_what_there_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", before=np.eye(3), after=np.eye(3))
    with pytest.raises(DataError, match=r"a\.npz contains before, after; expected"):
        load_arrays(tmp_path / "a.npz")


def test_an_error_names_the_file_and_the_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(DataError, match=r"a\.npz: x has shape \(3,\)"):
        load_arrays(tmp_path / "a.npz")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[{}]], object))
    np.savez(tmp_path / "a.npz", np.array([[{}]], object))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(DataError, match=rf"{name} cannot be read"):
            load_arrays(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("keep", [0, 5, 60, -30])
def test_a_truncated_file_is_named(tmp_path: Path, name: str, keep: int) -> None:
    path = tmp_path / name
    values = np.random.default_rng(0).normal(size=(20, 20))
    np.save(path, values) if name == "a.npy" else np.savez_compressed(path, x=values)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=rf"{name} cannot be read"):
        load_arrays(path)


def test_a_damaged_header_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.eye(3))
    path.write_bytes(path.read_bytes().replace(b"}", b"("))
    with pytest.raises(DataError, match=r"a\.npy cannot be read"):
        load_arrays(path)


def test_a_flipped_byte_of_an_npz_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).normal(size=(20, 20)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz cannot be read"):
        load_arrays(path)
