"""Load ``.npy`` and ``.npz`` files, and make a data set of a NumPy array.

(rows, D) are vectors; (rows, H, W), (rows, H, W, 1) and (rows, H, W, 3) are images. uint8 and bool
become uint8, all other real numbers become float32.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from training.data.dataset import DataError, Dataset
from training.data.packed_bits import is_packed, unpack
from vae.manifest import InputSpec

Array = np.ndarray[Any, np.dtype[Any]]
Kind = Literal["vector", "image"]

NAMES = ("x", "X", "images", "data", "x_train", "train")
"""Possible names of the training array in a file with several arrays."""

LABELS = ("y", "labels")
CONDITIONS = "c"
"""Name of the array of condition values."""


def load_arrays(path: Path, part: str | None = None) -> Dataset:
    """The data set in an ``.npy`` or ``.npz`` file. Pickled objects are never loaded.

    ``part`` names an array in an ``.npz`` file with several arrays. ``train+valid`` names two
    arrays, whose rows are concatenated. Raises DataError if the file is damaged or lacks the array.
    """
    try:
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            if isinstance(stored, np.ndarray):
                if part is not None:
                    raise DataError(f"{path} is a single array; it has no part {part}")
                return from_array(stored, str(path))
            names = _names(stored.files, part, path)
            array = _concatenate([_array(stored, name) for name in names], names, path)
            dataset = from_array(array, f"{path}: {'+'.join(names)}")
            return _with_conditions(
                replace(dataset, labels=_labels(stored, len(dataset))), stored, path
            )
    except DataError:
        raise
    except Exception as error:  # NumPy raises many types for damaged files, even TokenError
        raise DataError(f"{path} cannot be read as NumPy arrays: {error}") from None


def _array(stored: Any, name: str) -> Array:
    array: Array = stored[name]
    return unpack(array) if is_packed(stored, name) else array


def _concatenate(arrays: list[Array], names: list[str], path: Path) -> Array:
    """The rows of all arrays. Raises DataError if their shapes or types differ."""
    if len(arrays) == 1:
        return arrays[0]
    kinds = [f"{array.dtype} {array.shape[1:]}" for array in arrays]
    if len(set(kinds)) > 1 or not all(array.ndim for array in arrays):
        found = ", ".join(f"{name} {kind}" for name, kind in zip(names, kinds, strict=True))
        raise DataError(f"{path}: the rows of {found} have different shapes or types")
    return np.concatenate(arrays)


def _labels(stored: Any, rows: int) -> torch.Tensor | None:
    """The array ``y`` or ``labels``, if it has one integer per row."""
    for name in LABELS:
        if name in stored.files:
            labels = stored[name]
            if labels.shape == (rows,) and labels.dtype.kind in "iu":
                return torch.from_numpy(labels.astype(np.int64))
    return None


def _with_conditions(dataset: Dataset, stored: Any, path: Path) -> Dataset:
    """The data set with the array ``c``, (rows,) or (rows, any), if the file has one."""
    if CONDITIONS not in stored.files:
        return dataset
    c = stored[CONDITIONS]
    if c.ndim not in (1, 2) or len(c) != len(dataset) or c.size == 0:
        raise DataError(
            f"{path}: {CONDITIONS} has shape {c.shape}; expected ({len(dataset)}, any), "
            "one row for each row of x"
        )
    c = to_bytes_or_floats(c.reshape(len(c), -1), f"{path}: {CONDITIONS}").astype(np.float32)
    names = tuple(f"{CONDITIONS}{index}" for index in range(c.shape[1]))
    return replace(dataset, c=torch.from_numpy(c), c_names=names)


def from_array(array: Array, source: str) -> Dataset:
    """The data set in one array. ``source`` is its name in errors.

    Raises DataError if the shape is neither that of vectors nor of images, if elements are not real
    numbers, or if a value is not finite in float32 (NaN, infinity, 1e39).
    """
    check_shape(array, source)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    values = to_bytes_or_floats(array, source)
    kind: Kind = "vector" if array.ndim == 2 else "image"
    spec = InputSpec(
        kind=kind,
        shape=array.shape[1:],
        dtype="uint8" if values.dtype == np.uint8 else "float32",
        range=bounds(float(values.min()), float(values.max()), values.dtype, kind),
    )
    return Dataset(torch.from_numpy(values), spec)


def _names(found: list[str], part: str | None, path: Path) -> list[str]:
    """The names of the arrays in ``part``, or of the default training array."""
    if part is None:
        chosen = found if len(found) == 1 else [name for name in NAMES if name in found][:1]
        expected = f"one of them named {' or '.join(NAMES)}"
    else:
        chosen = [part] if part in found else part.split("+")
        expected = f"one of them named {' and one named '.join(chosen)}"
    if not chosen or not set(chosen) <= set(found):
        found_names = ", ".join(found) or "nothing"
        raise DataError(f"{path} contains {found_names}; expected a single array, or {expected}")
    return chosen


def check_shape(array: Array, source: str) -> None:
    """Raise DataError if the shape is neither that of vectors nor of images."""
    shape = array.shape
    if array.size == 0 and array.ndim > 0:
        raise DataError(f"{source} is empty: its shape is {shape}")
    if array.ndim in (2, 3) or (array.ndim == 4 and shape[3] in (1, 3)):
        return
    hint = "; channels come last" if array.ndim == 4 and shape[1] in (1, 3) else ""
    raise DataError(
        f"{source} has shape {shape}; expected vectors (rows, D) "
        f"or images (rows, H, W) or (rows, H, W, 1 or 3){hint}"
    )


def to_bytes_or_floats(array: Array, source: str, row: int = 0) -> Array:
    """A contiguous copy for torch, uint8 or float32.

    Raises DataError for a value that is not finite in float32. Row numbers in errors start at
    ``row``.
    """
    if array.dtype.kind not in "biuf":
        raise DataError(f"{source} has type {array.dtype}; expected real numbers")
    if array.dtype in (np.uint8, np.bool_):
        return np.array(array, dtype=np.uint8, order="C")
    with np.errstate(over="ignore"):
        values = np.array(array, dtype=np.float32, order="C")
    finite = np.isfinite(values)
    if not finite.all():
        first = np.unravel_index(int(finite.argmin()), values.shape)
        place = ", ".join(map(str, (row + first[0], *first[1:])))
        raise DataError(f"{source}[{place}] is {array[first]}, which is not finite in float32")
    return values


def bounds(low: float, high: float, dtype: np.dtype[Any], kind: Kind) -> tuple[float, float] | None:
    """The range of values that the data can have, or None.

    uint8 has 0 to 255, or 0 to 1 if no other value occurs. Floating-point images have 0 to 1 or −1
    to 1 by convention, or else their smallest and largest value. Floating-point vectors have none.
    """
    if dtype == np.uint8:
        return (0, 1) if high <= 1 else (0, 255)
    if kind == "vector":
        return None
    for least, most in ((0.0, 1.0), (-1.0, 1.0)):
        if least <= low and high <= most:
            return least, most
    return (low, high) if low < high else None
