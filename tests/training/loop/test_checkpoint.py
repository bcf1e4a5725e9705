"""The checkpoint: everything comes back, and damage is named."""

from pathlib import Path

import pytest
import torch

from training.config.train_config import TrainConfig
from training.errors import RunError
from training.loop.checkpoint import (
    Progress,
    load_best,
    load_checkpoint,
    read_progress,
    save_checkpoint,
)
from training.loop.optimiser import make_optimiser
from training.loop.step import update_weights
from training.loop.train_state import TrainState
from training.objectives.schedules import final_values
from vae.manifest import GaussianSpec, InputSpec, MLPSpec, ModelSpec
from vae.networks import VAE

CONFIG = TrainConfig(data="x", learning_rate=0.01)


def make_spec(width: int = 4) -> ModelSpec:
    return ModelSpec(
        input=InputSpec(kind="vector", shape=(3,), dtype="float32"),
        latent_dim=2,
        likelihood=GaussianSpec(variance="learned"),
        network=MLPSpec(hidden=(width,)),
    )


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, TrainState]:
    torch.manual_seed(0)
    vae = VAE(make_spec())
    state = TrainState.create(vae, CONFIG, rows=5)
    best = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    update_weights(state, torch.randn(5, 3), torch.randn(1, 5, 2), final_values(CONFIG))
    progress = Progress(spec=make_spec(), data="abc", epoch=4, step=9, best_epoch=3)
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, vae, state.optimiser, best, progress)
    return path, state


def test_training_goes_on_bit_for_bit(
    trained: tuple[Path, TrainState],
) -> None:
    path, state = trained
    other = TrainState.create(VAE(make_spec()), CONFIG, rows=5)
    load_checkpoint(path, other.vae, other.optimiser)
    x, eps = torch.randn(5, 3), torch.randn(1, 5, 2)
    for each in (state, other):
        update_weights(each, x, eps, final_values(CONFIG))
    pairs = zip(state.vae.parameters(), other.vae.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_the_best_weights_are_kept_apart(
    trained: tuple[Path, TrainState],
) -> None:
    path, state = trained
    best, progress = load_best(path)
    assert progress == Progress(spec=make_spec(), data="abc", epoch=4, step=9, best_epoch=3)
    assert not torch.equal(next(best.parameters()), next(state.vae.parameters()))


def test_the_same_state_gives_the_same_bytes(
    trained: tuple[Path, TrainState], tmp_path: Path
) -> None:
    path, state = trained
    again = tmp_path / "again.safetensors"
    best, progress = load_best(path)
    save_checkpoint(again, state.vae, state.optimiser, best.state_dict(), progress)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_file_cut_short_is_named(trained: tuple[Path, TrainState], keep: int) -> None:
    path, *_ = trained
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match=rf"{path} (is damaged|cannot be read)"):
        read_progress(path)


def test_a_missing_file_and_another_model_s_are_named(
    trained: tuple[Path, TrainState], tmp_path: Path
) -> None:
    path, *_ = trained
    with pytest.raises(RunError, match=r"none\.safetensors cannot be read"):
        read_progress(tmp_path / "none.safetensors")
    wider = VAE(make_spec(width=5))
    with pytest.raises(RunError, match=f"{path} is of another model"):
        load_checkpoint(path, wider, make_optimiser(wider, CONFIG))
