"""Load CSV and Parquet tables: each row is a vector of float32 with one element per column.

Every selected column must have a finite number in every row. Only the owner of the data can decide
how to fill a missing value or encode a category.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pyarrow import csv, parquet

from training.data.dataset import DataError, Dataset
from training.data.numpy_files import Array
from vae.manifest import InputSpec

NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)


def load_csv(path: Path, columns: Sequence[str] | None, conditions: Sequence[str] = ()) -> Dataset:
    """The data set in a UTF-8 CSV file, whose first line has the column names.

    The columns ``conditions`` are not part of x unless ``columns`` names them, too. Raises
    DataError with the column and the row if the file cannot be used.
    """
    try:
        # Errors contain the row number only if one thread reads the rows in order.
        table = csv.read_csv(path, read_options=csv.ReadOptions(use_threads=False))
        names = table.column_names
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as CSV: {_in_data_rows(str(error))}") from None
    return _from_table(table, path, _x_columns(names, path, columns, conditions), conditions)


def load_parquet(
    path: Path, columns: Sequence[str] | None, conditions: Sequence[str] = ()
) -> Dataset:
    """The data set in a Parquet file, as ``load_csv``. Only the selected columns are read."""
    try:
        with parquet.ParquetFile(path) as file:
            chosen = _x_columns(file.schema_arrow.names, path, columns, conditions)
            table = file.read(columns=list(dict.fromkeys((*chosen, *conditions))))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from None
    return _from_table(table, path, chosen, conditions)


def _x_columns(
    found: Sequence[str], path: Path, columns: Sequence[str] | None, conditions: Sequence[str]
) -> Sequence[str]:
    """The columns of x. Raises DataError as ``check_names`` does."""
    check_names(found, path, columns)
    check_names(found, path, conditions)
    return columns or [name for name in found if name not in conditions]


def _in_data_rows(message: str) -> str:
    """The reader's message with row numbers that start below the header."""
    return re.sub(r"Row #(\d+)", lambda match: f"row {int(match[1]) - 1}", message)


def _from_table(
    table: pa.Table, path: Path, names: Sequence[str], conditions: Sequence[str]
) -> Dataset:
    if table.num_rows == 0 or not names:
        raise DataError(f"{path} is empty: it has {table.num_rows} rows of {len(names)} columns")
    x = to_floats(table, str(path), names)
    spec = InputSpec(kind="vector", shape=(len(names),), dtype="float32", columns=tuple(names))
    c = torch.from_numpy(to_floats(table, str(path), conditions)) if conditions else None
    return Dataset(torch.from_numpy(x), spec, c=c, c_names=tuple(conditions))


def to_floats(table: pa.Table, source: str, names: Sequence[str]) -> Array:
    """The columns as (rows, len(names)) float32. Raises DataError with the column and the row."""
    x = np.empty((table.num_rows, len(names)), np.float32)
    for index, name in enumerate(names):
        x[:, index] = _numbers(table.column(name), f'{source}: column "{name}"')
    return x


def check_names(found: Sequence[str], path: Path, chosen: Sequence[str] | None) -> None:
    """Raise DataError if a chosen column does not exist or occurs twice."""
    names = chosen or found
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f'{path}: column "{twice[0]}" occurs twice')
    if missing := [name for name in names if name not in found]:
        raise DataError(f'{path} has no column "{missing[0]}"; it has {", ".join(found)}')


def _numbers(column: pa.ChunkedArray, place: str) -> Array:
    """One column as float32. Raises DataError with the first invalid row, counted from 1."""
    if column.null_count:
        row = int(column.is_null().to_numpy().argmax()) + 1
        raise DataError(f"{place}, row {row} has no value")
    if not any(is_number(column.type) for is_number in NUMBERS):
        row = _first_not_a_number(column)
        raise DataError(
            f"{place}, row {row} is {str(column[row - 1])[:40]!r}, not a number; "
            "use --columns to select the columns"
        )
    exact = column.cast(pa.float64(), safe=False).to_numpy()
    with np.errstate(over="ignore"):
        values = exact.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        row = int(finite.argmin()) + 1
        raise DataError(f"{place}, row {row} is {exact[row - 1]}, which is not finite in float32")
    return values  # type: ignore[no-any-return]


def _first_not_a_number(column: pa.ChunkedArray) -> int:
    """The first row whose text is not a number; row 1 if the column's type is wrong."""
    for row, value in enumerate(column, start=1):
        try:
            float(str(value))
        except ValueError:
            return row
    return 1
