"""One file of a streamed data set: ``.npy`` or ``.parquet``.

A file is open only while rows are read from it, so neither memory nor the number of open files
grows with the data.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from training.data.dataset import DataError
from training.data.numpy_files import Array, check_shape, to_bytes_or_floats
from training.data.tables import check_names, to_floats

Numbers = NDArray[np.int64]

BLOCK_BYTES = 1 << 22
"""Size of a block of an ``.npy`` file, whose rows are read together: large enough for the full
speed of the disk, small enough that a window has many blocks."""


class Shard(Protocol):
    """One file of rows, uint8 or float32, each of ``shape``."""

    path: Path
    rows: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The column names of a table, else None."""

    def blocks(self) -> list[int]:
        """The end of each block in rows; the last is ``rows``."""

    def take(self, numbers: Numbers) -> Array:
        """The rows with these ascending numbers, (len(numbers), *shape)."""


class NpyShard:
    """An ``.npy`` file, which is memory-mapped while rows are copied from it."""

    columns: tuple[str, ...] | None = None

    def __init__(self, path: Path, columns: Sequence[str] | None) -> None:
        if columns:
            raise DataError(f"{path}: columns apply only to a CSV or Parquet table")
        self.path = path
        stored = self._mapped()
        check_shape(stored, str(path))
        self.rows = len(stored)
        one_byte = stored.dtype in (np.uint8, np.bool_)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8 if one_byte else np.float32)
        gray = stored.shape[3:] == (1,)
        self.shape: tuple[int, ...] = stored.shape[1:3] if gray else stored.shape[1:]
        self._block = max(1, BLOCK_BYTES // (stored.itemsize * int(np.prod(self.shape))))

    def blocks(self) -> list[int]:
        """Blocks of BLOCK_BYTES."""
        return [*range(self._block, self.rows, self._block), self.rows]

    def take(self, numbers: Numbers) -> Array:
        """Copies of the rows. Consecutive rows are read at once."""
        stored = self._mapped()
        run = len(numbers) > 0 and numbers[-1] - numbers[0] + 1 == len(numbers)
        rows = stored[numbers[0] : numbers[-1] + 1] if run else stored[numbers]
        first = int(numbers[0]) if run else 0
        return to_bytes_or_floats(rows, str(self.path), first).reshape(-1, *self.shape)

    def _mapped(self) -> Array:
        try:
            return np.load(self.path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        except Exception as error:  # NumPy raises many types for damaged files, even TokenError
            raise DataError(f"{self.path} cannot be read as a NumPy array: {error}") from None


class ParquetShard:
    """A Parquet file. A block is a row group, which is always decoded completely."""

    dtype: np.dtype[Any] = np.dtype(np.float32)

    def __init__(self, path: Path, columns: Sequence[str] | None) -> None:
        self.path = path
        with self._opened() as file:
            names = file.schema_arrow.names
            check_names(names, path, columns)
            self._ends = list(
                accumulate(file.metadata.row_group(i).num_rows for i in range(file.num_row_groups))
            )
        self.columns = tuple(columns or names)
        self.rows = self._ends[-1] if self._ends else 0
        self.shape: tuple[int, ...] = (len(self.columns),)
        if not self.rows or not self.columns:
            raise DataError(f"{path} is empty: it has {self.rows} rows of {len(names)} columns")

    def blocks(self) -> list[int]:
        """The file's row groups."""
        return [end for start, end in pairwise([0, *self._ends]) if start < end]

    def take(self, numbers: Numbers) -> Array:
        """Decode the row groups of the rows, one at a time."""
        out = np.empty((len(numbers), len(self.columns)), np.float32)
        starts = [0, *self._ends[:-1]]
        groups = np.searchsorted(self._ends, numbers, side="right")
        with self._opened() as file:
            for group in np.unique(groups):
                here = groups == group
                out[here] = self._group(file, int(group))[numbers[here] - starts[group]]
        return out

    def _group(self, file: Any, group: int) -> Array:
        try:
            table = file.read_row_group(group, columns=list(self.columns))
        except (OSError, ValueError, pa.ArrowException) as error:
            raise DataError(f"{self.path} cannot be read as Parquet: {error}") from None
        return to_floats(table, f"{self.path}, row group {group}", self.columns)

    def _opened(self) -> Any:
        try:
            return parquet.ParquetFile(self.path)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise DataError(f"{self.path} cannot be read as Parquet: {error}") from None
