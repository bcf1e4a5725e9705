"""IDX files, plain or gzipped, as MNIST and Fashion-MNIST come.

Two zero bytes, the type of an element, the number of dimensions, each dimension as a big-endian
32-bit number, then the elements, big-endian (LeCun, Cortes and Burges, "The MNIST database").
"""

import gzip
import math
import struct
import zlib
from dataclasses import replace
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import torch

from training.data.dataset import DataError, Dataset
from training.data.numpy_files import Array, from_array

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

TRAINING_IMAGES = tuple(
    f"train-images{separator}idx3-ubyte{suffix}" for separator in "-." for suffix in ("", ".gz")
)
"""The file to train on in a folder as MNIST comes."""


def load_idx(path: Path) -> Dataset:
    """The data set in an IDX file, with the labels of ``*-labels-idx1-*`` where it lies beside."""
    dataset = from_array(_load(path), str(path))
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    if beside == path or not beside.is_file():
        return dataset
    labels = _load(beside)
    if labels.shape != (len(dataset),) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{beside} holds {labels.dtype} of {labels.shape}; "
            f"expected a whole number for each of the {len(dataset)} rows of {path.name}"
        )
    return replace(dataset, labels=torch.from_numpy(labels.astype(np.int64)))


def is_idx(path: Path) -> bool:
    """Whether a file is named as IDX files are."""
    return path.name.removesuffix(".gz").endswith(("-ubyte", ".idx"))


def training_images(folder: Path) -> Path | None:
    """The file of training images in a folder as MNIST comes, if this is one."""
    candidates = (folder / name for name in TRAINING_IMAGES)
    return next((path for path in candidates if path.is_file()), None)


def _load(path: Path) -> Array:
    """The array in an IDX file, of exactly the length that its header says."""
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.open(file) if gzipped else file as content:
                return _read(content, path)
    except (OSError, EOFError, MemoryError, OverflowError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _read(file: BufferedIOBase, path: Path) -> Array:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in DTYPES or head[3] == 0:
        raise DataError(f"{path} is not an IDX file: it starts with {head.hex(' ') or 'nothing'}")
    dtype, dimensions = np.dtype(DTYPES[head[2]]), head[3]
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise DataError(f"{path} ends within its header")
    shape = struct.unpack(f">{dimensions}I", sizes)
    expected = math.prod(shape) * dtype.itemsize
    # One byte more than is due tells a longer file, and no more is unpacked than the header says.
    content = file.read(expected + 1)
    if len(content) != expected:
        found = f"only {len(content)}" if len(content) < expected else "more"
        raise DataError(f"{path} should hold {expected} bytes of {shape} elements, and has {found}")
    return np.frombuffer(content, dtype).reshape(shape)
