from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from training.data.dataset import DataError, Dataset
from training.data.tables import load_csv, load_parquet


def from_csv(folder: Path, text: str, columns: tuple[str, ...] | None = None) -> Dataset:
    (folder / "a.csv").write_text(text)
    return load_csv(folder / "a.csv", columns)


def from_parquet(
    folder: Path, table: dict[str, Any] | pa.Table, columns: tuple[str, ...] | None = None
) -> Dataset:
    table = pa.table(table) if isinstance(table, dict) else table
    parquet.write_table(table, folder / "a.parquet")
    return load_parquet(folder / "a.parquet", columns)


def test_csv(tmp_path: Path) -> None:
    dataset = from_csv(tmp_path, "age,height\n30,1.75\n41,1.6\n")
    assert dataset.x.tolist() == [[30, 1.75], [41, pytest.approx(1.6)]]
    assert dataset.x.dtype == torch.float32
    assert dataset.input.kind == "vector"
    assert dataset.input.columns == ("age", "height")
    assert dataset.input.range is None


def test_parquet_takes_every_kind_of_number(tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "bytes": np.array([1, 2], np.uint8),
        "longs": np.array([2**62, -1]),
        "halves": np.array([0.5, 2], np.float16),
        "decimals": pa.array([1, 2]).cast(pa.decimal128(21, 2)),
        "flags": [True, False],
    }
    dataset = from_parquet(tmp_path, columns)
    assert dataset.input.columns == tuple(columns)
    assert dataset.x.tolist() == [[1, 2.0**62, 0.5, 1, 1], [2, -1, 2, 2, 0]]


def test_chosen_columns_come_in_the_order_of_the_choice(tmp_path: Path) -> None:
    csv = from_csv(tmp_path, "a,name,b\n1,ada,2\n", ("b", "a"))
    table = from_parquet(tmp_path, {"a": [1], "name": ["ada"], "b": [2]}, ("b", "a"))
    for dataset in (csv, table):
        assert dataset.x.tolist() == [[2, 1]]
        assert dataset.input.columns == ("b", "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,x\n", r'column "b", row 2 is \'x\', not a number; use --columns'),
        ("a,b\n1,2\n3,\n", r'column "b", row 2 has no value'),
        ("a,b\n1,nan\n3,4\n", r'column "b", row 1 has no value'),
        ("a,b\n1,2\n3,4\n5,-inf\n", r'column "b", row 3 is -inf'),
        ("a,b\n1,2\n3,1e39\n", r'column "b", row 2 is 1e\+39, which is not finite in float32'),
        ("a,b\n1,2020-01-01\n", r'column "b", row 1 is .2020-01-01'),
        ("a,b\n1,2\n\n3\n", "row 2: Expected 2 columns, got 1"),
        ("a,b\n1,2\n3,4,5\n", "row 2: Expected 2 columns, got 3"),
        ("a;b\n1;2\n", r'column "a;b", row 1 is \'1;2\''),
        ("a,a\n1,2\n", 'column "a" occurs twice'),
        ("a,b\n", "empty"),
        ("", "cannot be read as CSV: Empty"),
    ],
)
def test_an_unusable_csv_names_column_and_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"a\.csv.*{message}"):
        from_csv(tmp_path, text)


def test_a_fault_far_down_is_found(tmp_path: Path) -> None:
    rows = [f"{row},{row}" for row in range(200_000)]
    rows[150_000] = "1,oops"
    with pytest.raises(DataError, match=r'column "b", row 150001 is \'oops\''):
        from_csv(tmp_path, "\n".join(["a,b", *rows]))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": [1.0, None]}, 'column "a", row 2 has no value'),
        ({"a": [1.0, float("nan")]}, 'column "a", row 2 is nan'),
        ({"a": ["1", "2"]}, r'column "a", row 1 is \'1\', not a number'),
        ({"a": [[1], [2]]}, 'column "a", row 1'),
        ({"a": pa.array([], pa.float64())}, "empty: it has 0 rows of 1 columns"),
        ({}, "empty"),
        (pa.Table.from_arrays([pa.array([1])] * 2, ["a", "a"]), 'column "a" occurs twice'),
    ],
)
def test_an_unusable_parquet_names_column_and_row(
    tmp_path: Path, table: dict[str, Any] | pa.Table, message: str
) -> None:
    with pytest.raises(DataError, match=rf"a\.parquet.*{message}"):
        from_parquet(tmp_path, table)


def test_an_unknown_column_lists_those_there_are(tmp_path: Path) -> None:
    message = r'has no column "c"; it has a, b'
    with pytest.raises(DataError, match=message):
        from_csv(tmp_path, "a,b\n1,2\n", ("a", "c"))
    with pytest.raises(DataError, match=message):
        from_parquet(tmp_path, {"a": [1], "b": [2]}, ("a", "c"))


def test_an_empty_choice_is_none(tmp_path: Path) -> None:
    assert from_csv(tmp_path, "a,b\n1,2\n", ()).input.columns == ("a", "b")
    assert from_parquet(tmp_path, {"a": [1], "b": [2]}, ()).input.columns == ("a", "b")


def test_a_column_is_chosen_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='"a" occurs twice'):
        from_csv(tmp_path, "a,b\n1,2\n", ("a", "a"))


@pytest.mark.parametrize("content", [b"Gr\xf6\xdfe\n1\n", b"a,b\n1,2\n\xf6\n"])
def test_a_csv_in_another_encoding_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.csv cannot be read as CSV"):
        load_csv(tmp_path / "a.csv", None)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a table at all, but long enough"])
def test_a_damaged_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as Parquet"):
        load_parquet(tmp_path / "a.parquet", None)
