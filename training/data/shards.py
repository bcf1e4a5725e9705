"""A folder of ``.npy`` or ``.parquet`` files as one array of rows on disk.

Rows are numbered from 0 across all files, which are sorted by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from training.data.dataset import DataError
from training.data.numpy_files import Array
from training.data.shard import NpyShard, Numbers, ParquetShard, Shard

SUFFIXES = (".npy", ".parquet")


@dataclass(frozen=True, eq=False)
class Shards:
    """Files with rows of the same shape and type."""

    files: Sequence[Shard]

    @cached_property
    def ends(self) -> list[int]:
        """The end of each file in rows."""
        return list(accumulate(file.rows for file in self.files))

    @cached_property
    def blocks(self) -> list[tuple[int, int]]:
        """First row and end of each block. A block never spans two files."""
        return [
            (end - file.rows + first, end - file.rows + last)
            for end, file in zip(self.ends, self.files, strict=True)
            for first, last in pairwise([0, *file.blocks()])
        ]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in memory."""
        return self.files[0].dtype.itemsize * int(np.prod(self.files[0].shape))

    def take(self, numbers: Numbers) -> Array:
        """The rows with these numbers, in this order, (len(numbers), *shape)."""
        out = np.empty((len(numbers), *self.files[0].shape), self.files[0].dtype)
        order = np.argsort(numbers)
        rising = numbers[order]
        of_file = np.searchsorted(self.ends, rising, side="right")
        for index in np.unique(of_file):
            file, here = self.files[index], of_file == index
            out[order[here]] = file.take(rising[here] - (self.ends[index] - file.rows))
        return out


def shard_paths(folder: Path) -> list[Path]:
    """The shards directly in ``folder``, sorted by name, without hidden files.

    Raises DataError if there are files of both types.
    """
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if len({path.suffix.lower() for path in paths}) > 1:
        raise DataError(f"{folder} contains .npy and .parquet files; expected one type")
    return paths


def open_shards(paths: Sequence[Path], columns: Sequence[str] | None) -> Shards:
    """Open the shards. Raises DataError for the first that cannot be read or differs."""
    files: list[Shard] = []
    for path in paths:
        kind = ParquetShard if path.suffix.lower() == ".parquet" else NpyShard
        files.append(kind(path, columns))
        if (found := _kind(files[-1])) != (expected := _kind(files[0])):
            raise DataError(f"{path} contains {found}, but {paths[0].name} contains {expected}")
    return Shards(files)


def _kind(file: Shard) -> str:
    columns = f" of columns {', '.join(file.columns)}" if file.columns else ""
    return f"{file.dtype} rows of {file.shape}{columns}"
