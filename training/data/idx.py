"""IDX files, plain or gzipped: the format of MNIST and Fashion-MNIST.

A file has two zero bytes, the element type, the number of dimensions, each dimension as a
big-endian 32-bit integer, and the elements, big-endian (LeCun, Cortes and Burges, "The MNIST
database").
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
"""Names of the training images in a folder of MNIST files."""


def load_idx(path: Path) -> Dataset:
    """The data set in an IDX file, with labels if a ``*-labels-idx1-*`` file lies label_path it."""
    dataset = from_array(_load(path), str(path))
    label_path = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    if label_path == path or not label_path.is_file():
        return dataset
    labels = _load(label_path)
    if labels.shape != (len(dataset),) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{label_path} holds {labels.dtype} of {labels.shape}; "
            f"expected an integer for each of the {len(dataset)} rows of {path.name}"
        )
    return replace(dataset, labels=torch.from_numpy(labels.astype(np.int64)))


def is_idx(path: Path) -> bool:
    """Whether a file has the name of an IDX file."""
    return path.name.removesuffix(".gz").endswith(("-ubyte", ".idx"))


def training_images(folder: Path) -> Path | None:
    """The file of training images in a folder of MNIST files; None if there is none."""
    candidates = (folder / name for name in TRAINING_IMAGES)
    return next((path for path in candidates if path.is_file()), None)


def _load(path: Path) -> Array:
    """The array in an IDX file, whose length must be that of its header."""
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
    # Read one byte more than expected: that detects a longer file and unpacks no more than needed.
    content = file.read(expected + 1)
    if len(content) != expected:
        found = f"only {len(content)}" if len(content) < expected else "more"
        raise DataError(f"{path} should hold {expected} bytes of {shape} elements, and has {found}")
    return np.frombuffer(content, dtype).reshape(shape)
