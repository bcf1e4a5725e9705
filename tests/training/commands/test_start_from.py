"""Training that begins with the weights of an earlier model."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from training.cli import main
from training.loop.checkpoint import load_best
from vae.bundle import open_bundle

OPTIONS = ["--hidden=16", "--importance-samples=2", "--threads=1", "--keep=last", "--held-out=0.2"]
STILL = ["--epochs=1", "--learning-rate=1e-20"]


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """120 rows of an earlier model, trained for two epochs in the directory of the test."""
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(5, 2, (120, 4)).astype(np.float32)
    np.savez("old.npz", x=rows, y=np.arange(120) % 3)
    return rows


def train(data: str, name: str, *more: str, latents: int = 2) -> int:
    given = [f"--data={data}", f"--name={name}", f"--latent-dim={latents}", *OPTIONS, *more]
    return main(["train", *given])


def weights(run: str) -> dict[str, torch.Tensor]:
    vae, _ = load_best(Path("runs", run, "checkpoint.safetensors"))
    return vae.state_dict()


@pytest.mark.parametrize("place", ["runs/old", "models/old/1"])
@pytest.mark.parametrize("options", [(), ("--prior=vamp", "--prior-components=3")])
def test_weights_and_scaling_of_the_earlier_model_on_other_rows(
    place: str, options: tuple[str, ...], rows: np.ndarray
) -> None:
    np.savez("new.npz", x=rows + 1)
    assert train("old.npz", "old", "--epochs=2", *options) == 0
    assert train("new.npz", "new", f"--start-from={place}", *STILL, *options) == 0
    before, after = weights("old"), weights("new")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    old, new = (open_bundle(Path("models", name, "1")).manifest for name in ("old", "new"))
    assert new.preprocessing == old.preprocessing
    assert new.metrics["elbo"] != old.metrics["elbo"]


def test_it_learns_on_and_resumes(rows: np.ndarray) -> None:
    assert train("old.npz", "old", "--epochs=2") == 0
    old, more = weights("old"), ["--start-from=runs/old", "--checkpoint-seconds=0"]
    assert train("old.npz", "whole", "--epochs=3", *more) == 0
    assert train("old.npz", "parts", "--epochs=1", *more) == 0
    shutil.rmtree("runs/old")
    assert train("old.npz", "parts", "--epochs=3", *more, "--resume") == 0
    whole, parts = weights("whole"), weights("parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert not torch.equal(whole["encoder.0.weight"], old["encoder.0.weight"])


def test_rows_of_some_of_its_classes(rows: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    some = np.arange(120) % 3 != 1
    np.savez("some.npz", x=rows[some], y=(np.arange(120) % 3)[some])
    np.savez("other.npz", x=rows, y=np.arange(120) % 4)
    assert train("old.npz", "old", "--epochs=1", "--conditional") == 0
    more = ("--start-from=runs/old", "--conditional", *STILL)
    assert train("some.npz", "some", *more) == 0
    assert open_bundle(Path("models/some/1")).manifest.condition.names == ("0", "1", "2")
    assert train("other.npz", "other", *more) == 1
    assert "labels 3: the model has only the classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--latent-dim=3"], "start_from: runs/old is another model: latent_dim 2 → 3"),
        (["--hidden=16,8"], "start_from: runs/old is another model: network "),
        (["--conditional"], "start_from: runs/old is another model: condition None → classes"),
        (["--start-from=runs/none"], "start_from: runs/none is neither a run nor a version of a"),
    ],
)
def test_another_model_is_refused(
    options: list[str], said: str, rows: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("old.npz", "old", "--epochs=1") == 0
    assert train("old.npz", "new", "--start-from=runs/old", "--epochs=1", *options) in (1, 2)
    assert said in capsys.readouterr().err
    assert not Path("runs/new/config.yaml").exists()
