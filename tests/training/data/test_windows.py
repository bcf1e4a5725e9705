"""Epochs over shards: each row once, an order of their own, slices that fit, bounded memory."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.loop.test_train import QUIET, make_config
from training.data.dataset import Dataset
from training.data.load import load_dataset
from training.data.row_source import InMemoryRows
from training.data.sharded import ShardedDataset, StreamedDataset
from training.loop.checkpoint import Progress
from training.loop.run_directory import RunDirectory
from training.loop.train import train
from training.model.build import build_vae
from training.model.resolve import resolve
from training.model.spec import model_spec
from training.system.distributed import SINGLE_PROCESS, ProcessGroup

ROWS = 500
ROOT = Path(__file__).parents[3]


class Member(ProcessGroup):
    """One of several; reading data they need not talk."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank = rank
        self.size = size


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """500 rows of five numbers in three files, in blocks of ten; row i begins with i."""
    monkeypatch.setattr("training.data.shard.BLOCK_BYTES", 200)
    x = np.random.default_rng(0).normal(size=(ROWS, 5)).astype(np.float32)
    x[:, 0] = np.arange(ROWS)
    (tmp_path / "shards").mkdir()
    for number, part in enumerate(np.split(x, (101, 333))):
        np.save(tmp_path / "shards" / f"{number}.npy", part)
    return tmp_path / "shards"


def opened(folder: Path, window_rows: int) -> tuple[StreamedDataset, Dataset]:
    dataset = load_dataset(str(folder))
    assert isinstance(dataset, ShardedDataset)
    return dataset.split(0.2, 0, window_rows * 20)


def firsts(x: Tensor) -> list[int]:
    return [int(value) for value in x[:, 0]]


@pytest.mark.parametrize("window_rows", [1, 37, 100, 10_000])
@pytest.mark.parametrize("size", [7, 64, 1000])
def test_an_epoch_has_each_row_once_in_full_batches(
    folder: Path, window_rows: int, size: int
) -> None:
    data, held_out = opened(folder, window_rows)
    epochs = []
    for epoch in (1, 2, 1):
        batches = list(data.rows.batches(size, 0, epoch, SINGLE_PROCESS))
        assert [batch.rows for batch in batches[:-1]] == [size] * ((len(data) - 1) // size)
        assert [len(batch.x) for batch in batches] == [batch.rows for batch in batches]
        epochs.append([row for batch in batches for row in firsts(batch.x)])
        assert sorted(epochs[-1] + firsts(held_out.x)) == list(range(ROWS))
    assert epochs[0] == epochs[2] != epochs[1]


def test_rows_of_one_window_come_from_far_apart(folder: Path) -> None:
    data, _ = opened(folder, 100)
    rows = [row for batch in data.rows.batches(10, 0, 1, SINGLE_PROCESS) for row in firsts(batch.x)]
    assert np.ptp(rows[:100]) > 300
    assert np.mean(np.diff(rows[:100]) == 1) < 0.1


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("batch", [2, 17, 64])
def test_the_slices_of_a_group_are_the_batches_of_one(folder: Path, size: int, batch: int) -> None:
    data, _ = opened(folder, 90)
    slices = zip(
        *(data.rows.batches(batch, 0, 1, Member(rank, size)) for rank in range(size)), strict=True
    )
    for whole, parts in zip(data.rows.batches(batch, 0, 1, SINGLE_PROCESS), slices, strict=True):
        assert torch.equal(torch.cat([part.x for part in parts]), whole.x)
        assert {part.rows for part in parts} == {whole.rows}


def test_one_window_of_all_rows_is_the_order_and_the_curve_of_memory(
    folder: Path, tmp_path: Path
) -> None:
    data, held_out = opened(folder, ROWS)
    memory = InMemoryRows(torch.cat(list(data.rows.pieces())))
    config = resolve(make_config(tmp_path, epochs=3), data)
    spec = model_spec(config, data)
    curves = []
    for number, rows in enumerate((memory, data.rows)):
        run = RunDirectory(tmp_path / str(number))
        run.path.mkdir()
        fresh = Progress(spec=spec, data="")
        train(build_vae(spec, 0), rows, held_out.rows, config, run, fresh, QUIET)
        curves.append([(line["elbo"], line["held_out_elbo"]) for line in run.history()])
    assert curves[0] == curves[1]


def test_a_file_that_goes_away_ends_the_run_with_its_name(folder: Path) -> None:
    data, _ = opened(folder, 100)
    (folder / "1.npy").unlink()
    with pytest.raises(Exception, match=r"1\.npy cannot be read"):
        list(data.rows.batches(10, 0, 1, SINGLE_PROCESS))


def peaks(*arguments: str) -> None:
    """Print the most memory in use, in MiB, after training on each of two folders."""
    *folders, run = arguments
    for folder in folders:
        fit_streamed(Path(folder), Path(run))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)


def fit_streamed(folder: Path, run: Path) -> None:
    """An epoch of a small network on a folder of rows of 4 KiB, in windows of 8 MiB."""
    dataset = load_dataset(str(folder))
    assert isinstance(dataset, ShardedDataset)
    data, held_out = dataset.split(0.002, 0, 8 << 20)
    config = resolve(
        make_config(run, epochs=1, hidden=(2,), batch_size=512, scaling="standardise"), data
    )
    spec = model_spec(config, data)
    fresh = Progress(spec=spec, data=data.rows.fingerprint())
    train(build_vae(spec, 0), data.rows, held_out.rows, config, RunDirectory(run), fresh, QUIET)


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    piece = np.random.default_rng(0).integers(0, 256, (4096, 4096), dtype=np.uint8)  # 16 MiB
    for name, files in (("small", 2), ("large", 9)):
        (tmp_path / name).mkdir()
        for number in range(files):
            np.save(tmp_path / name / f"{number:02}.npy", piece)
    script = "import sys; from tests.training.data.test_windows import peaks; peaks(*sys.argv[1:])"
    # glibc keeps what was freed; asked not to, it shows what is in use.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "small", tmp_path / "large", tmp_path],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    small, large = map(int, done.stdout.split())
    assert large - small < 24  # MiB, for 112 MiB more of data
