"""Folders of .npy and .parquet files: what they hold, and how they are split without memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from training.data.dataset import DataError
from training.data.load import load_dataset
from training.data.scaling import preprocessing_section
from training.data.sharded import ShardedDataset

ROWS = (70, 1, 129)
WINDOW = 1 << 20


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.shard.BLOCK_BYTES", 200)


def pixels(rows: int = sum(ROWS)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, 4, 5), dtype=np.uint8)


def numbers(rows: int = sum(ROWS)) -> np.ndarray:
    return np.random.default_rng(0).normal(5, 3, (rows, 3)).astype(np.float32)


def npy_folder(folder: Path, x: np.ndarray) -> Path:
    folder.mkdir()
    for name, part in zip("abc", np.split(x, np.cumsum(ROWS)[:-1]), strict=True):
        np.save(folder / f"{name}.npy", part)
    return folder


def parquet_folder(folder: Path, x: np.ndarray) -> Path:
    folder.mkdir()
    for name, part in zip("abc", np.split(x, np.cumsum(ROWS)[:-1]), strict=True):
        table = pa.table({column: part[:, i] for i, column in enumerate(("u", "v", "w"))})
        parquet.write_table(table, folder / f"{name}.parquet", row_group_size=32)
    return folder


def sharded(folder: Path, **options: object) -> ShardedDataset:
    dataset = load_dataset(str(folder), **options)
    assert isinstance(dataset, ShardedDataset)
    return dataset


def test_rows_are_numbered_through_all_files(tmp_path: Path) -> None:
    x = pixels()
    dataset = sharded(npy_folder(tmp_path / "x", x))
    assert (dataset.input.kind, dataset.input.shape) == ("image", (4, 5))
    assert (dataset.input.dtype, dataset.input.range) == ("uint8", (0, 255))
    chosen = np.random.default_rng(1).permutation(len(x))[:90]
    np.testing.assert_array_equal(dataset.shards.take(chosen), x[chosen])
    assert dataset.shards.blocks[:2] == [(0, 10), (10, 20)]
    assert (70, 71) in dataset.shards.blocks


def test_a_table_in_shards(tmp_path: Path) -> None:
    x = numbers()
    folder = parquet_folder(tmp_path / "x", x)
    dataset = sharded(folder)
    assert dataset.input.columns == ("u", "v", "w")
    assert dataset.shards.blocks[:4] == [(0, 32), (32, 64), (64, 70), (70, 71)]
    chosen = np.random.default_rng(1).permutation(len(x))
    np.testing.assert_array_equal(dataset.shards.take(chosen), x[chosen])
    two = sharded(folder, columns=("w", "u"))
    np.testing.assert_array_equal(two.shards.take(chosen), x[chosen][:, [2, 0]])


@pytest.mark.parametrize("dtype", ["bool", "int32", "float64", ">f4"])
def test_elements_become_bytes_or_floats_as_in_one_file(tmp_path: Path, dtype: str) -> None:
    x = (pixels() > 100).astype(dtype)
    dataset = sharded(npy_folder(tmp_path / "x", x[..., None]))
    np.save(tmp_path / "one.npy", x)
    assert dataset.input == load_dataset(str(tmp_path / "one.npy")).input


def test_every_row_is_in_one_part_and_the_parts_keep_when_rows_are_added(tmp_path: Path) -> None:
    x = numbers()
    folder = npy_folder(tmp_path / "x", x)
    train, held_out = sharded(folder).split(0.3, 0, WINDOW)
    rows = torch.cat([*train.rows.pieces(), held_out.x])
    assert len(train) + len(held_out) == len(x)
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, x.tolist()))
    assert len(held_out) == pytest.approx(60, abs=20)
    np.save(folder / "d.npy", x[:50] + 1)
    _, more = sharded(folder).split(0.3, 0, WINDOW)
    assert torch.equal(more.x[: len(held_out)], held_out.x)
    _, other = sharded(folder).split(0.3, 1, WINDOW)
    assert not torch.equal(other.x[:20], more.x[:20])


def test_the_held_out_rows_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.sharded.HELD_OUT_BYTES", 240)
    _, held_out = sharded(npy_folder(tmp_path / "x", numbers())).split(0.5, 0, WINDOW)
    assert 10 <= len(held_out) <= 30


def test_moments_are_those_of_the_training_rows(tmp_path: Path) -> None:
    x = numbers()
    x[:, 1] = 0.1
    train, _ = sharded(npy_folder(tmp_path / "x", x)).split(0.3, 0, WINDOW)
    found = preprocessing_section(train, "standardise")
    rows = torch.cat(list(train.rows.pieces())).double()
    assert found.shift == pytest.approx(rows.mean(0).tolist())
    expected = rows.std(0, correction=0)
    assert found.scale == pytest.approx([expected[0].item(), 1.0, expected[2].item()])


def test_rows_drawn_by_chance_are_training_rows(tmp_path: Path) -> None:
    train, held_out = sharded(npy_folder(tmp_path / "x", numbers())).split(0.5, 0, WINDOW)
    drawn = train.rows.draw(200, torch.Generator().manual_seed(0)).x
    assert drawn.shape == (200, 3)
    assert not {tuple(row) for row in drawn.tolist()} & set(map(tuple, held_out.x.tolist()))


def test_the_fingerprint_is_that_of_content_and_split(tmp_path: Path) -> None:
    x = numbers()
    first = sharded(npy_folder(tmp_path / "x", x))
    x[199, 2] += 1
    second = sharded(npy_folder(tmp_path / "y", x))
    found = {
        dataset.split(share, seed, WINDOW)[0].rows.fingerprint()
        for dataset in (first, second)
        for share in (0.1, 0.2)
        for seed in (0, 1)
    }
    assert len(found) == 8
    again = sharded(tmp_path / "x").split(0.1, 0, WINDOW)[0]
    assert again.rows.fingerprint() in found


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    folder = npy_folder(tmp_path / "x", numbers())
    x = numbers(20)
    x[11, 1] = np.nan
    np.save(folder / "d.npy", x)
    with pytest.raises(DataError, match=r"d\.npy\[11, 1\] is nan"):
        load_dataset(str(folder))
    np.save(folder / "d.npy", pixels(3))
    with pytest.raises(
        DataError, match=r"d\.npy contains uint8 rows of \(4, 5\), but a\.npy contains f"
    ):
        load_dataset(str(folder))
    (folder / "d.npy").write_bytes((folder / "a.npy").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"d\.npy cannot be read as a NumPy array"):
        load_dataset(str(folder))
    np.save(folder / "d.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"d\.npy cannot be read"):
        load_dataset(str(folder))
    (folder / "d.npy").unlink()
    with pytest.raises(DataError, match="columns apply only to a CSV"):
        load_dataset(str(folder), columns=("a",))
    with pytest.raises(DataError, match="image size and gray apply only to a folder of images"):
        load_dataset(str(folder), gray=True)
    with pytest.raises(DataError, match=r"leaves 0 of 200 rows"):
        sharded(folder).split(1e-9, 0, WINDOW)
    parquet.write_table(pa.table({"u": [1.0]}), folder / "e.parquet")
    with pytest.raises(DataError, match=r"contains \.npy and \.parquet files"):
        load_dataset(str(folder))


def test_what_is_wrong_in_a_table_is_named(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path / "x", numbers())
    parquet.write_table(pa.table({"u": [1.0], "w": [1.0], "v": [1.0]}), folder / "d.parquet")
    with pytest.raises(DataError, match=r"d\.parquet contains .* columns u, w, v, but a\.parquet"):
        load_dataset(str(folder))
    table = pa.table({"u": [1.0, None], "v": [1.0, 2.0], "w": [1.0, 2.0]})
    parquet.write_table(table, folder / "d.parquet", row_group_size=1)
    with pytest.raises(DataError, match=r'd\.parquet, row group 1: column "u", row 1 has no value'):
        load_dataset(str(folder))
    (folder / "d.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"d\.parquet cannot be read as Parquet"):
        load_dataset(str(folder))
