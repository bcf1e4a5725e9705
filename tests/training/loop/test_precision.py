"""In bfloat16 a model learns as it does in float32, and stays a float32 model."""

import pytest
import torch
from torch import Tensor

from training.config.train_config import TrainConfig
from training.config.types import Precision
from training.data.conditions import with_conditions
from training.data.dataset import Dataset
from training.data.digits import load_digits
from training.loop.precision import BFloat16Network, tf32_if_requested, with_precision
from training.loop.reporter import Reporter
from training.loop.train import run_epoch
from training.loop.train_state import TrainState
from training.model.build import build_vae
from training.model.resolve import resolve
from training.model.spec import model_spec
from training.system.device import tf32_enabled
from vae.networks import VAE

NETWORKS = pytest.mark.parametrize(
    "options",
    [
        {},
        {"network": "conv", "channels": (4, 8), "hidden": (16,)},
        {"conditional": True},
        {"causal_radius": 1, "causal_channels": 8, "causal_layers": 1},
        {"prior": "vamp", "prior_components": 4},
    ],
    ids=["mlp", "conv", "conditional", "causal", "vamp"],
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_digits()


def start(data: Dataset, precision: Precision, options: dict[str, object]) -> TrainState:
    given = {"data": "digits", "latent_dim": 4, "precision": precision, **options}
    config = resolve(TrainConfig.model_validate({"hidden": (32,), **given}), data)
    return TrainState.create(build_vae(model_spec(config, data), 0), config, rows=len(data))


def learned(data: Dataset, precision: Precision, options: dict[str, object]) -> float:
    """The mean ELBO of the fourth epoch."""
    state = start(data, precision, options)
    config = TrainConfig.model_validate({"data": "digits", "batch_size": 64, "epochs": 4})
    rows = with_conditions(data, state.vae.spec)
    for epoch in (1, 2, 3, 4):
        totals = run_epoch(state, rows, config, epoch, Reporter())
    assert totals.skipped == 0
    assert {weight.dtype for weight in state.vae.parameters()} == {torch.float32}
    return totals.elbo / totals.rows


@NETWORKS
def test_training_goes_as_in_float32_but_for_rounding(
    options: dict[str, object], digits: Dataset
) -> None:
    exact, rounded = (learned(digits, precision, options) for precision in ("float32", "bfloat16"))
    assert rounded != exact
    assert rounded == pytest.approx(exact, abs=0.3)


def outputs(vae: VAE) -> list[Tensor]:
    x, z = torch.linspace(0, 16, 128).reshape(2, 8, 8), torch.linspace(-1, 1, 8).reshape(2, 4)
    return [*vae.encode(x), vae.decoder(z)]


def test_networks_round_and_answer_in_float32(digits: Dataset) -> None:
    vae = start(digits, "float32", {}).vae
    for exact, rounded in zip(outputs(vae), outputs(with_precision("bfloat16", vae)), strict=True):
        assert rounded.dtype == torch.float32
        assert not torch.equal(rounded, exact)
        torch.testing.assert_close(rounded, exact, rtol=2e-2, atol=2e-2)


def test_only_a_step_computes_in_bfloat16(digits: Dataset) -> None:
    state = start(digits, "bfloat16", {})
    assert isinstance(state.forward_vae.encoder, BFloat16Network)
    assert not isinstance(state.eval_vae.encoder, BFloat16Network)
    assert list(state.vae.state_dict()) == list(start(digits, "float32", {}).vae.state_dict())


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_other_precisions_leave_the_networks_as_they_are(
    precision: Precision, digits: Dataset
) -> None:
    vae = start(digits, "float32", {}).vae
    assert with_precision(precision, vae) is vae


def test_tf32_is_allowed_only_when_asked_for_and_meanwhile() -> None:
    before = tf32_enabled()
    with tf32_if_requested("tf32"):
        assert tf32_enabled() == (True, True)
        with tf32_if_requested("bfloat16"):
            assert tf32_enabled() == (False, False)
        assert tf32_enabled() == (True, True)
    assert tf32_enabled() == before


def test_tf32_is_refused_on_a_cpu() -> None:
    with pytest.raises(ValueError, match="precision: a CPU does not support tf32"):
        TrainConfig(data="digits", precision="tf32")
    assert TrainConfig(data="digits", precision="tf32", device="cuda").precision == "tf32"
