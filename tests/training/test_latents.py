"""Every prior that the options allow: evaluated, trained, begun at the data."""

import pytest
import torch

from training.config.train_config import TrainConfig
from training.data.dataset import Dataset
from training.errors import ConfigError
from training.evaluation.evaluate import evaluate
from training.model.build import build_vae, initialise_pseudo_inputs
from training.model.resolve import resolve
from training.model.spec import model_spec
from training.objectives.elbo import ELBO
from training.objectives.schedules import final_values
from vae.latents.priors import VampPrior
from vae.manifest import InputSpec
from vae.networks import VAE

LATENTS: list[dict[str, object]] = [
    {"prior": "mixture", "prior_components": 3},
    {"prior": "vamp", "prior_components": 3},
    {"posterior": "realnvp", "flow_layers": 2, "latents_hidden": 5},
    {"ladder": (2, 1), "posterior": "realnvp", "prior": "mixture"},
    {"posterior": "iaf", "prior": "mixture"},
    {"ladder": (1, 2), "prior": "vamp"},
]
NOW = final_values(TrainConfig(data="digits"))


def pictures(rows: int = 300) -> Dataset:
    noise = torch.Generator().manual_seed(0)
    x = torch.randint(0, 17, (rows, 8, 8), generator=noise, dtype=torch.uint8)
    return Dataset(x, InputSpec(kind="image", shape=(8, 8), dtype="uint8", range=(0, 16)))


def make_vae(**options: object) -> VAE:
    data = pictures()
    config = resolve(TrainConfig(**{"data": "digits", "latent_dim": 3, **options}), data)
    return initialise_pseudo_inputs(build_vae(model_spec(config, data), 0), data.rows, 0)


@pytest.mark.parametrize("options", LATENTS)
def test_the_evaluation_is_of_the_objective_s_terms(options: dict[str, object]) -> None:
    vae, x = make_vae(**options, hidden=(6,)), pictures().x
    found = evaluate(vae, x, samples=200, seed=0)
    eps = torch.randn(200, len(x), 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        loss = ELBO(draws=200)(vae, x, eps, NOW)
    assert found.elbo == pytest.approx(loss.elbo.mean().item(), rel=1e-3)
    assert found.kl == pytest.approx(loss.kl.mean().item(), abs=0.02)
    assert found.elbo < found.importance_weighted


@pytest.mark.parametrize("options", LATENTS)
def test_every_weight_gets_a_gradient(options: dict[str, object]) -> None:
    vae = make_vae(**options, hidden=(6,))
    ELBO()(vae, pictures().x, torch.randn(1, 300, 3), NOW).loss.backward()
    still = [name for name, weight in vae.named_parameters() if not weight.grad.any()]
    assert still == []


def test_pseudo_inputs_begin_near_rows_of_the_data_and_apart() -> None:
    vae = make_vae(prior="vamp", prior_components=400)
    (prior,) = (part for part in vae.latents.modules() if isinstance(part, VampPrior))
    rows = vae.preprocess(pictures().x.float())
    distance, nearest = torch.cdist(prior.pseudo_inputs, rows).min(dim=1)
    assert distance.max() < 0.2 < torch.cdist(rows, rows).fill_diagonal_(9).min()
    assert len(nearest.unique()) > 100
    assert len(prior.pseudo_inputs.unique(dim=0)) == 400


def test_a_settled_copy_gives_the_same_and_leaves_the_original() -> None:
    vae = make_vae(prior="vamp")
    before = {name: weight.clone() for name, weight in vae.state_dict().items()}
    frozen = vae.frozen()
    noise, ones = torch.randn(9, 4), torch.ones(9)
    torch.testing.assert_close(frozen.prior(noise, ones), vae.prior(noise, ones))
    with torch.no_grad():
        for weight in frozen.parameters():
            weight.zero_()
    assert all(torch.equal(before[name], weight) for name, weight in vae.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior_components": 3}, "prior_components: the normal prior has no components"),
        ({"flow_layers": 3}, "flow_layers: the diagonal posterior has no flow"),
        ({"latents_hidden": 3}, "only with a flow or a ladder"),
        ({"ladder": (4,)}, "ladder"),
        ({"ladder": (4, 0)}, "ladder"),
        ({"ladder": (4, 4)}, r"layers \[4, 4\] have 8 dimensions together; latent_dim is 3"),
        ({"prior": "vamp", "posterior": "iaf"}, "density is known only at its own draws"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises((ValueError, ConfigError), match=message):
        make_vae(**options)


@pytest.mark.parametrize("objective", ["dreg", "beta-tc", "mmd"])
def test_objectives_of_the_standard_latents_are_refused_others(objective: str) -> None:
    draws = 2 if objective == "dreg" else 1
    with pytest.raises(ConfigError, match=f"objective: {objective} needs a diagonal posterior"):
        make_vae(objective=objective, draws=draws, prior="mixture")
