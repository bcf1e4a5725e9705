"""Parquet to Parquet, for more data than the object stores of the cluster hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.ray.conftest import STORE
from vae.bundle import open_bundle

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

FILES, ROWS = 8, 100_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, digits_bundle: Path) -> Path:
    """Eight files of digits as lists of float32, with row numbers. The first are golden rows."""
    folder = tmp_path_factory.mktemp("rows")
    random = np.random.default_rng(0)
    known = open_bundle(digits_bundle).arrays("golden.npz", "x")["x"].reshape(-1, 64)
    for number in range(FILES):
        x = random.uniform(0, 16, (ROWS, 64)).astype(np.float32)
        x[: len(known)] = known
        lists = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 64)
        ids = pa.array(range(number * ROWS, (number + 1) * ROWS))
        parquet.write_table(pa.table({"x": lists, "id": ids}), folder / f"{number}.parquet")
    assert FILES * ROWS * 64 * 4 > 2 * STORE
    return folder


def job(bundle: Path, verb: str, **changes: Any) -> Any:
    from offline import Job

    options = {
        "verb": verb,
        "bundle": bundle,
        "column": "x",
        "keep": ("id",),
        "samples": 1,
        "seed": 0,
        "device": "cpu",
        "max_rows": 8192,
        **changes,
    }
    return Job(**options)


def test_every_row_is_encoded_as_the_service_does(
    cluster: Any, data: Path, digits_bundle: Path, tmp_path: Path
) -> None:
    from offline import run

    rows = run(job(digits_bundle, "encode"), data, tmp_path / "out", batch_rows=8192, workers=2)
    assert rows == FILES * ROWS
    found = parquet.read_table(tmp_path / "out")
    assert set(found.column_names) == {"id", "mu", "logvar"}
    ids = found["id"].to_numpy()
    assert np.array_equal(np.sort(ids), np.arange(FILES * ROWS))
    golden = open_bundle(digits_bundle).arrays("golden.npz", "mu")["mu"]
    for number in range(FILES):
        for row, mu in enumerate(golden):
            place = int(np.flatnonzero(ids == number * ROWS + row)[0])
            assert np.allclose(found["mu"][place].as_py(), mu, atol=1e-4)


def test_scores_of_a_table_by_its_column_names(
    cluster: Any, table_bundle: Path, table_file: Path, tmp_path: Path
) -> None:
    from offline import run
    from pyarrow import csv

    table = csv.read_csv(table_file)
    parquet.write_table(table, tmp_path / "people.parquet")
    scoring = job(table_bundle, "score", keep=(), samples=4)
    rows = run(scoring, tmp_path / "people.parquet", tmp_path / "out", batch_rows=64, workers=1)
    assert rows == table.num_rows
    found = parquet.read_table(tmp_path / "out").to_pydict()
    assert set(found) == {"elbo", "reconstruction", "kl", "p_value"}
    elbo, parts = np.array(found["elbo"]), np.subtract(found["reconstruction"], found["kl"])
    assert np.allclose(elbo, parts, atol=1e-3)


def test_what_is_wrong_is_named(
    cluster: Any,
    digits_bundle: Path,
    conditional_bundle: Path,
    table_bundle: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from offline import run

    with pytest.raises(ValueError, match="lacks column height, weight, age; it has x, id"):
        run(job(table_bundle, "encode"), data, tmp_path / "out", batch_rows=9, workers=1)
    with pytest.raises(ValueError, match="is a conditional model"):
        run(job(conditional_bundle, "encode"), data, tmp_path / "out", batch_rows=9, workers=1)
    with pytest.raises(ValueError, match=r"holds no \.parquet file"):
        run(job(digits_bundle, "encode"), tmp_path, tmp_path / "out", batch_rows=9, workers=1)
    lists = pa.array([[1.0] * 64, [2.0] * 63])
    parquet.write_table(pa.table({"x": lists, "id": [1, 2]}), tmp_path / "uneven.parquet")
    with pytest.raises(Exception, match="lists of 63 to 64 numbers"):
        run(
            job(digits_bundle, "encode"),
            tmp_path / "uneven.parquet",
            tmp_path / "uneven",
            batch_rows=9,
            workers=1,
        )
