"""Killed at any moment and resumed, a run ends with the very bytes of one that was never killed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from training.commands.train import TrainCommand, run_train
from training.data.dataset import DataError
from training.data.digits import load_digits
from training.errors import RunError
from training.loop.checkpoint import read_progress
from training.loop.run_directory import RunDirectory
from vae.bundle import open_bundle, versions_in

ROOT = Path(__file__).parents[3]
EPOCHS = 150
KILLS = 3
OPTIONS: dict[str, Any] = {
    "data": "digits",
    "hidden": (48,),
    "latent_dim": 4,
    "network": "mlp",
    "likelihood": "gaussian",
    "epochs": EPOCHS,
    "threads": 1,
    "kl_anneal_epochs": 50.5,
    "kl_schedule": "cyclical",
    "free_bits": 0.05,
    "learning_rate_schedule": "plateau",
    "plateau_epochs": 4,
    "warmup_epochs": 2.5,
    "patience": EPOCHS,
    "ema": 0.99,
    "importance_samples": 2,
    "checkpoint_seconds": 0.05,
}


def command(root: Path, **options: Any) -> TrainCommand:
    texts = {name: str(v) if isinstance(v, Path) else v for name, v in options.items()}
    return TrainCommand(**{**OPTIONS, "run": root / "run", "models": root / "models", **texts})


def start(root: Path) -> subprocess.Popen[bytes]:
    lists = {name: ",".join(map(str, v)) for name, v in OPTIONS.items() if isinstance(v, tuple)}
    flags = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in {
            **OPTIONS,
            **lists,
            "run": root / "run",
            "models": root / "models",
        }.items()
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "training", "train", *flags, "--resume"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )


def kill_after(process: subprocess.Popen[bytes], run: RunDirectory, epochs: int) -> None:
    deadline = time.monotonic() + 60
    while not run.metrics.exists() or run.metrics.read_bytes().count(b"\n") < epochs:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def without_rates(run: RunDirectory) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in run.history()]


def test_killed_runs_end_like_one_that_never_was(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_train(command(whole), Console(quiet=True))
    run = RunDirectory(broken / "run")
    for kill in range(1, KILLS + 1):
        kill_after(start(broken), run, epochs=kill * EPOCHS // (KILLS + 1))
        assert 0 < read_progress(run.checkpoint).epoch < EPOCHS
        assert not (broken / "models").exists()
    run_train(command(broken, resume=True), Console(quiet=True))
    assert run.checkpoint.read_bytes() == RunDirectory(whole / "run").checkpoint.read_bytes()
    assert without_rates(run) == without_rates(RunDirectory(whole / "run"))
    first, second = (open_bundle(root / "models" / "digits" / "1") for root in (whole, broken))
    for name in ("checkpoint.safetensors", "calibration.npz", "encoder.onnx", "samples.png"):
        assert first.files[name] == second.files[name]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    run_train(command(root, epochs=2), Console(quiet=True))
    return root


def test_a_finished_run_is_only_exported_again(finished: Path) -> None:
    before = RunDirectory(finished / "run").metrics.read_text()
    run_train(command(finished, epochs=2, resume=True), Console(quiet=True))
    assert RunDirectory(finished / "run").metrics.read_text() == before
    assert versions_in(finished / "models" / "digits")[-1] >= 2


def test_resuming_where_nothing_is_starts_anew(finished: Path, tmp_path: Path) -> None:
    run_train(command(tmp_path, epochs=2, resume=True), Console(quiet=True))
    assert (
        without_rates(RunDirectory(tmp_path / "run"))
        == without_rates(RunDirectory(finished / "run"))[:2]
    )


def test_more_epochs_are_a_longer_run(finished: Path, tmp_path: Path) -> None:
    run_train(command(finished, epochs=4, resume=True), Console(quiet=True))
    run_train(command(tmp_path, epochs=4), Console(quiet=True))
    assert (
        RunDirectory(finished / "run").checkpoint.read_bytes()
        == RunDirectory(tmp_path / "run").checkpoint.read_bytes()
    )
    with pytest.raises(RunError, match="has already trained 4 epochs, more than 2"):
        run_train(command(finished, epochs=2, resume=True), Console(quiet=True))


def test_a_conv_network_goes_on_where_it_stopped(colour_folder: Path, tmp_path: Path) -> None:
    conv = {"data": colour_folder, "network": "conv", "channels": (4, 6), "batch_size": 8}
    run_train(command(tmp_path / "whole", **conv, epochs=6), Console(quiet=True))
    run_train(command(tmp_path / "parts", **conv, epochs=3), Console(quiet=True))
    run_train(command(tmp_path / "parts", **conv, epochs=6, resume=True), Console(quiet=True))
    whole, parts = (RunDirectory(tmp_path / name / "run") for name in ("whole", "parts"))
    assert whole.checkpoint.read_bytes() == parts.checkpoint.read_bytes()


def test_other_options_and_other_data_are_refused(
    finished: Path, table_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="seed: 0 → 1"):
        run_train(
            command(finished, epochs=9, resume=True, seed=1),
            Console(quiet=True),
        )
    with pytest.raises(RunError, match="scaling: range → standardise"):
        run_train(command(finished, epochs=9, resume=True, data=table_file), Console(quiet=True))
    changed = tmp_path / "digits.npy"
    np.save(changed, load_digits().x.numpy()[::-1])
    with pytest.raises(RunError, match=r"other rows than those of .*digits\.npy"):
        run_train(
            command(finished, epochs=9, resume=True, data=changed, scaling="range"),
            Console(quiet=True),
        )
    with pytest.raises(DataError, match="nowhere"):
        run_train(command(finished, resume=True, data="nowhere"), Console(quiet=True))


def test_a_torn_last_line_of_metrics_does_no_harm(finished: Path) -> None:
    run = RunDirectory(finished / "run")
    with run.metrics.open("a") as file:
        file.write('{"epoch": 99, "elb')
    reached = read_progress(run.checkpoint).epoch
    run_train(command(finished, epochs=reached, resume=True), Console(quiet=True))
    lines = run.metrics.read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, reached + 1))
