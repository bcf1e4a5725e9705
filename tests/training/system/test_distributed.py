"""Several processes train as one would: the same curve, one writer, and an end with its reason."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.servers import ROOT
from tests.training.loop.test_train import QUIET, make_config, make_data
from training.config.train_config import TrainConfig
from training.data.dataset import Dataset, split_dataset
from training.data.digits import load_digits
from training.data.row_source import InMemoryRows
from training.errors import ConfigError
from training.evaluation.batches import BATCH_ROWS
from training.evaluation.evaluate import evaluate
from training.loop.checkpoint import Progress
from training.loop.run_directory import RunDirectory
from training.loop.train import EpochTotals, run_epoch, train
from training.loop.train_state import TrainState
from training.model.build import build_vae
from training.model.resolve import resolve
from training.model.spec import model_spec
from training.system.device import open_device
from training.system.distributed import ProcessGroup
from vae.bundle import open_bundle
from vae.networks import VAE

OPTIONS = {
    "data": "digits",
    "hidden": "32",
    "latent_dim": 4,
    "batch_size": 101,  # 1,617 rows: the last batch has one, and a process none of it
    "importance_samples": 2,
    "threads": 1,
    "keep": "last",
    "checkpoint_seconds": 0,
}

BUILDING = threading.Lock()
"""First weights come from torch's own generator, which threads share."""


class Threads(ProcessGroup):
    """Processes of a group as threads of the test."""

    def __init__(
        self, rank: int, slots: list[Sequence[Tensor]], barrier: threading.Barrier
    ) -> None:
        self.rank = rank
        self.size = len(slots)
        self._slots = slots
        self._barrier = barrier

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        self._slots[self.rank] = [tensor.clone() for tensor in tensors]
        self._barrier.wait()
        for tensor, *parts in zip(tensors, *self._slots, strict=True):
            tensor.copy_(torch.stack(parts).sum(dim=0))
        self._barrier.wait()


def together(size: int, work: Callable[[ProcessGroup], Any]) -> list[Any]:
    """What ``work`` returns in each of ``size`` members of a group."""
    results: list[Any] = [None] * size
    slots: list[Sequence[Tensor]] = [[]] * size
    barrier = threading.Barrier(size, timeout=30)

    def run(rank: int) -> None:
        results[rank] = work(Threads(rank, slots, barrier))

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def epoch_on(
    data: Dataset, x: Tensor, **options: object
) -> Callable[[ProcessGroup], tuple[VAE, EpochTotals]]:
    def work(group: ProcessGroup) -> tuple[VAE, EpochTotals]:
        config = resolve(make_config(Path(), **options), data)
        with BUILDING:
            vae = build_vae(model_spec(config, data), 0)
        state = TrainState.create(vae, config, rows=len(x), group=group)
        totals = run_epoch(state, InMemoryRows(x), config, 1, QUIET)
        return vae, totals

    return work


def command(root: Path, **options: object) -> list[str]:
    given = OPTIONS | options | {"run": root / "run", "models": root / "models"}
    return [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]


LEAVING = """
import sys
from pathlib import Path

import torch

from training.errors import RunError
from training.system.distributed import join_process_group

try:
    with join_process_group(torch.device("cpu")) as group:
        torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
        group.all_reduce([torch.zeros(1)])
        while sys.argv[1] == "lost" and group.is_main:
            group.all_reduce([torch.zeros(1)])
except RunError:
    print("lost")
tasks = Path("/proc/self/task").iterdir()
print(*[task.joinpath("comm").read_text().strip() for task in tasks])
"""


def start(rank: int, port: int, *arguments: str) -> subprocess.Popen[str]:
    """Python with these arguments as one of two processes, started as torchrun would."""
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {name: str(value) for name, value in (places | address).items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def alone(root: Path, epochs: int) -> RunDirectory:
    """The run that one process makes of the same options, up to its last epoch."""
    data, held_out = split_dataset(load_digits(), 0.1, 0)
    options = OPTIONS | {"epochs": epochs, "run": root}
    config = resolve(TrainConfig.model_validate(options), data)
    spec = model_spec(config, data)
    fresh = Progress(spec=spec, data="")
    train(
        build_vae(spec, config.seed),
        data.rows,
        held_out.rows,
        config,
        RunDirectory(root),
        fresh,
        QUIET,
    )
    return RunDirectory(root)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_two_processes_killed_and_resumed_give_the_curve_of_one(tmp_path: Path) -> None:
    port = free_port()
    train_long = ["-m", "training", "train", *command(tmp_path / "two", epochs=4000)]
    both = [start(rank, port, *train_long) for rank in (0, 1)]
    run = RunDirectory(tmp_path / "two" / "run")
    deadline = time.monotonic() + 120
    while len(run.history()) < 3:
        assert both[0].poll() is None, both[0].communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    both[1].send_signal(signal.SIGKILL)
    both[1].communicate()
    _, message = both[0].communicate(timeout=60)
    assert both[0].returncode == 1
    assert message.startswith("vae-train: process 0 of 2 lost the others")
    assert message.count("\n") == 1
    reached = len(run.history())

    arguments = command(tmp_path / "two", epochs=reached + 5)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launch, "-m", "--", "training", "train", *arguments, "--resume"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Training took") == 1

    curves = [
        [line["elbo"] for line in run.history()] for run in (alone(tmp_path, reached + 5), run)
    ]
    np.testing.assert_allclose(*curves, rtol=1e-4)
    assert (
        open_bundle(tmp_path / "two" / "models/digits/1").manifest.metrics["epoch"] == reached + 5
    )


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads by /proc")
@pytest.mark.parametrize("end", ["finished", "lost"])
def test_a_group_takes_its_threads_with_it(end: str) -> None:
    port = free_port()
    both = [start(rank, port, "-c", LEAVING, end) for rank in (0, 1)]
    (found, _), _ = (process.communicate(timeout=60) for process in both)
    *lost, threads = found.splitlines()
    assert lost == ["lost"] * (end == "lost")
    assert "gloo" not in threads
    assert "tcpstore" not in threads


@given(rows=st.integers(0, 1000), size=st.integers(1, 40))
def test_the_parts_of_a_batch_are_the_batch(rows: int, size: int) -> None:
    slots: list[Sequence[Tensor]] = [[]] * size
    members = [Threads(rank, slots, threading.Barrier(size)) for rank in range(size)]
    parts = [range(rows)[member.local_slice(rows)] for member in members]
    assert [row for local_slice in parts for row in local_slice] == list(range(rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("rows", [256, 250, 193], ids=["even", "uneven", "one row for three"])
def test_a_group_takes_the_steps_of_one_process(rows: int) -> None:
    data = make_data(rows)
    work = epoch_on(data, data.x)
    one, expected = work(ProcessGroup())
    for vae, totals in together(3, work):
        assert astuple(totals)[:-1] == pytest.approx(astuple(expected)[:-1], rel=1e-5)
        for weight, same in zip(vae.parameters(), one.parameters(), strict=True):
            torch.testing.assert_close(weight, same, rtol=1e-4, atol=1e-5)


def test_all_skip_the_step_that_is_not_finite_for_one() -> None:
    data = make_data(256)
    x = data.x.clone()
    x[17, 0] = torch.inf
    (first, totals), (second, same) = together(2, epoch_on(data, x))
    assert (totals.steps, totals.skipped, totals.rows) == (4, 1, 192)
    assert totals == same
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_an_evaluation_shared_out_is_the_same() -> None:
    data = make_data(2 * BATCH_ROWS + 10)
    vae = build_vae(model_spec(resolve(make_config(Path()), data), data), 0)
    whole = evaluate(vae, data.x, samples=3, seed=0)
    for found in together(2, lambda group: evaluate(vae, data.x, samples=3, seed=0, group=group)):
        assert found.metrics() == whole.metrics()
        np.testing.assert_array_equal(found.scores, whole.scores)


def test_a_device_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "100")
    monkeypatch.setenv("LOCAL_RANK", "99")
    assert open_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="cuda:0 is one device for 100 processes; name it cuda"):
        open_device("cuda:0")
    with pytest.raises(ConfigError, match="device: cuda:99 does not exist"):
        open_device("cuda")
