"""The command line, end to end: what is printed, what is written, what a mistake looks like."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.cli import main
from training.commands.train import flush_denormals
from training.evaluation.pixels import TILE
from vae.bundle import open_bundle

TINY = ["--epochs=2", "--hidden=16", "--latent-dim=3", "--importance-samples=2", "--threads=1"]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_train_evaluate_and_export_on_a_table(
    table_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", f"--data={table_file}", "--name=people", *TINY]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for word in ("epoch 2/2", "ELBO", "KL", "latents active", "models/people/1", "-m service"):
        assert word in printed.out

    bundle = open_bundle(tmp_path / "models" / "people" / "1")
    manifest = bundle.manifest
    assert manifest.name == "people"
    assert manifest.input.columns == ("height", "weight", "age")
    assert manifest.preprocessing.shift[0] == pytest.approx(172, abs=3)
    assert manifest.likelihood.kind == "gaussian"
    assert {"torch", "onnx", "onnxruntime", "vae-server"} == manifest.versions.keys()
    scores = bundle.arrays("calibration.npz", "elbo")["elbo"]
    assert scores.dtype == np.float32
    assert (np.diff(scores) >= 0).all()
    assert manifest.calibration.rows == len(scores) == 20
    assert manifest.calibration.mean == pytest.approx(scores.mean(), rel=1e-5)
    names = ("x", "z", "mu", "logvar", "mean", "log_px_z")
    shapes = [array.shape for array in bundle.arrays("golden.npz", *names).values()]
    assert shapes == [(8, 3)] * 5 + [(8,)]

    assert main(["evaluate", "--run=runs/people", "--samples=7"]) == 0
    assert "active units" in capsys.readouterr().out
    evaluation = json.loads((tmp_path / "runs/people/evaluation.json").read_text())
    assert evaluation["samples"] == 7
    assert len(evaluation["kl_per_latent"]) == 3

    assert main(["evaluate", "--run=runs/people", "--image=people.png"]) == 2
    assert "image: needs a model of images of 3×3 or more" in capsys.readouterr().err

    figures = []
    for model in ("--run=runs/people", "--bundle=models/people/1"):
        assert main(["evaluate", model, f"--data={table_file}", "--samples=3"]) == 0
        figures.append(capsys.readouterr().out)
    assert figures[0] == figures[1]
    assert "200 rows" in figures[0]
    assert json.loads((tmp_path / "runs/people/evaluation.json").read_text())["samples"] == 7
    assert main(["evaluate", "--bundle=models/people/1", "--data=digits"]) == 2
    assert "rows of digits have shape (8, 8), but the model needs (3,)" in capsys.readouterr().err

    assert main(["export", "--run=runs/people"]) == 0
    assert "models/people/2" in capsys.readouterr().out
    again = open_bundle(tmp_path / "models" / "people" / "2")
    assert again.files["decoder.onnx"] == bundle.files["decoder.onnx"]


def test_the_evaluation_of_pictures_says_how_sharp_they_are(
    digits_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, run = tmp_path / "strip.png", digits_bundle.parents[2] / "run"
    assert main(["evaluate", f"--run={run}", "--samples=1", f"--image={picture}"]) == 0
    printed = capsys.readouterr().out
    for word in ("Laplacian variance", "high frequencies", "samples, E[x|z]", "PCA"):
        assert word in printed
    assert picture.read_bytes().startswith(b"\x89PNG")
    metrics = open_bundle(digits_bundle).manifest.metrics
    assert metrics["psnr"] > 5
    assert f"{metrics['psnr']:.2f} dB" in printed


def test_a_bundle_of_colour_pictures(conv_bundle: Path) -> None:
    bundle = open_bundle(conv_bundle)
    assert bundle.manifest.input.shape == (9, 10, 3)
    assert bundle.manifest.network.kind == "conv"
    card = bundle.files["README.md"].decode()
    assert "9×10 pixels, colour" in card
    assert "/models/colours/sample" in card
    run = conv_bundle.parents[2] / "run"
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "checkpoint.safetensors", "curves.png"} <= names
    for name in ("samples.png", "reconstructions.png", "curves.png"):
        with Image.open(run / name) as picture:
            assert min(picture.size) > TILE


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "no command: expected train, evaluate, export, exact"),
        (["fit"], 2, "fit: expected train, evaluate, export, exact"),
        (["train"], 2, "--data is required"),
        (["train", "--data=digits", "--latentdim=3"], 2, "--latentdim"),
        (["train", "--data=digits", "--beta=x"], 2, "--beta: "),
        (["train", "--data=digits", "--device=cuda:99"], 2, "device: cuda:99 does not exist"),
        (["train", "--data=digits", "--config=none.yaml"], 2, "none.yaml cannot be read"),
        (["train", "--data=nowhere"], 1, "nowhere"),
        (["train", "--data=digits", "--run=/dev/null/run"], 1, "/dev/null/run"),
        (["evaluate", "--run=nowhere"], 1, "run nowhere does not exist"),
        (["export", "--run=nowhere"], 1, "run nowhere does not exist"),
        (["export", "--run=nowhere", "--device=cuda:99"], 2, "device: cuda:99 does not exist"),
    ],
)
def test_a_mistake_is_told_without_a_traceback(
    arguments: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == status
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("vae-train: ")
    assert printed.out == ""


def test_help_of_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "evaluate" in capsys.readouterr().out


def test_a_run_that_diverges_publishes_nothing_and_leaves_the_old_bundle(
    digits_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    shutil.copytree(digits_bundle.parents[1], models)
    before = contents(models)
    run = tmp_path / "run"
    flags = [f"--run={run}", f"--models={models}", "--learning-rate=1e30"]
    assert main(["train", "--data=digits", *TINY, *flags]) == 1
    assert "not finite" in capsys.readouterr().err
    assert contents(models) == before
    assert main(["export", f"--run={run}"]) == 1
    assert contents(models) == before


def test_a_full_disk_publishes_nothing_and_leaves_the_old_bundle(
    digits_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = tmp_path / "models"
    shutil.copytree(digits_bundle.parents[1], models)
    before = contents(models)
    sync = os.fsync

    def full_in_models(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").resolve().is_relative_to(models):
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full_in_models)
    flags = [f"--run={tmp_path / 'run'}", f"--models={models}", "--name=digits"]
    assert main(["train", "--data=digits", *TINY, *flags]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert contents(models) == before


def test_training_alone_takes_numbers_near_0_for_0() -> None:
    tiny = torch.full((8,), 1e-30)
    with flush_denormals():
        assert not (tiny * 1e-10).any()
    assert (tiny * 1e-10).any()
