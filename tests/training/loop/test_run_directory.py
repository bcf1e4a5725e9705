"""The run directory: one process, one config, metrics that match the checkpoint."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.commands.train import TrainCommand
from training.config.parse import parse
from training.config.train_config import TrainConfig
from training.errors import RunError
from training.loop.run_directory import RunDirectory, lock_run_directory
from training.system.files import write_atomically


def test_a_second_process_is_refused_and_told_who_holds_the_run(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from training.loop.run_directory import lock_run_directory\n"
        f"with lock_run_directory(Path({str(tmp_path)!r}), resume=True):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(RunError, match=f"in use by process {holder.pid}$"),
            lock_run_directory(tmp_path, resume=True),
        ):
            pass
        holder.kill()
        holder.wait()
        with lock_run_directory(tmp_path, resume=True):  # the killed holder's lock is gone
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_run_that_has_begun_is_not_begun_again_by_accident(tmp_path: Path) -> None:
    with lock_run_directory(tmp_path / "run", resume=False) as run:
        run.store_config(TrainConfig(data="digits"))
    with (
        pytest.raises(RunError, match="--resume"),
        lock_run_directory(tmp_path / "run", resume=False),
    ):
        pass
    with lock_run_directory(tmp_path / "run", resume=True) as run:
        assert run.config() == TrainConfig(data="digits")


def test_other_options_are_refused_by_name_and_free_ones_are_stored(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.store_config(TrainConfig(data="digits", seed=1))
    with pytest.raises(RunError, match=r"seed: 1 → 2; beta: 1\.0 → 3\.0"):
        run.store_config(TrainConfig(data="digits", seed=2, beta=3))
    run.store_config(TrainConfig(data="digits", seed=1, epochs=50))
    assert run.config().epochs == 50


def test_the_stored_config_is_a_config_file(tmp_path: Path) -> None:
    config = TrainConfig(data="digits", hidden=(3,), image_size=(8, 8), columns=("a", "é"))
    RunDirectory(tmp_path).store_config(config)
    command = parse(TrainCommand, ["--config", str(tmp_path / "config.yaml")], name="train")
    assert {**command.model_dump(), "config": None} == {
        **config.model_dump(),
        "config": None,
        "resume": False,
    }


def test_a_directory_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"{tmp_path} does not exist"):
        RunDirectory(tmp_path).config()


def test_metrics_after_the_checkpoint_and_a_line_cut_short_are_forgotten(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert run.history() == []
    for epoch in (1, 2, 3):
        run.append_metrics({"epoch": epoch, "elbo": None})
    with run.metrics.open("a") as file:
        file.write('{"epoch": 4, "el')
    run.truncate_metrics(2)
    assert run.history() == [{"epoch": 1, "elbo": None}, {"epoch": 2, "elbo": None}]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as failure:
        write_atomically(path, b"new")
    assert failure.value.filename == str(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_bytes() == b"old"
