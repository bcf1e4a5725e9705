"""The config of a run: names that follow from the data, and what is decided once it is read."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from training.commands.evaluate import EvaluateCommand
from training.config.train_config import CHANGEABLE_ON_RESUME, TrainConfig, changed_options
from training.data.dataset import Dataset
from training.errors import ConfigError
from training.model.build import build_vae
from training.model.resolve import resolve
from training.model.spec import model_spec
from training.objectives.beta_tc import BetaTC
from training.objectives.dreg import DReG
from training.objectives.elbo import ELBO
from training.objectives.factory import make_objective
from training.objectives.infovae import InfoVAE
from training.objectives.iwae import IWAE
from vae.manifest import InputSpec

IMAGES = Dataset(
    torch.zeros(100, 8, 8, dtype=torch.uint8),
    InputSpec(kind="image", shape=(8, 8), dtype="uint8", range=(0, 16)),
)
TABLE = Dataset(
    torch.randn(100, 3), InputSpec(kind="vector", shape=(3,), dtype="float32", range=None)
)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("digits", "digits"),
        ("photos/My faces.npz", "My-faces"),
        ("photos/", "photos"),
        ("train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"),
        ("é/ß.csv", "model"),
    ],
)
def test_the_name_and_the_run_follow_from_the_data(data: str, name: str) -> None:
    config = TrainConfig(data=data)
    assert config.name == name
    assert config.run == Path("runs", name)


def test_images_with_a_range_get_bernoulli_and_tables_a_learned_gaussian() -> None:
    images, table = (resolve(TrainConfig(data="x"), data) for data in (IMAGES, TABLE))
    assert (images.scaling, images.likelihood) == ("range", "bernoulli")
    assert (table.scaling, table.likelihood, table.variance) == (
        "standardise",
        "gaussian",
        "learned",
    )


@pytest.mark.parametrize(
    ("likelihood", "data", "scaling"),
    [
        ("categorical", IMAGES, "range"),
        ("gaussian", IMAGES, "range"),
        ("poisson", IMAGES, "none"),
        ("negative-binomial", TABLE, "none"),
        ("bernoulli", TABLE, "none"),
    ],
)
def test_the_scaling_is_one_that_the_likelihood_allows(
    likelihood: str, data: Dataset, scaling: str
) -> None:
    config = TrainConfig.model_validate({"data": "x", "likelihood": likelihood})
    assert resolve(config, data).scaling == scaling


def test_a_scaling_that_the_likelihood_does_not_allow_is_refused() -> None:
    with pytest.raises(ValidationError, match="poisson needs scaling none, not range"):
        TrainConfig(data="x", likelihood="poisson", scaling="range")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"logistics": 5, "likelihood": "categorical"},
            "logistics: has an effect only with the logistic likelihood",
        ),
        ({"causal_layers": 3}, "causal_layers: has an effect only with a causal_radius above 0"),
        ({"logistics": 5}, "logistics: has an effect only with the logistic likelihood"),
        (
            {"variance": 0.5, "likelihood": "poisson"},
            "variance: has an effect only with the gaussian likelihood",
        ),
    ],
)
def test_an_option_of_another_likelihood_is_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainConfig.model_validate({"data": "x", **options})


def test_a_variance_is_a_word_or_a_number_and_widths_may_be_none_at_all() -> None:
    config = TrainConfig.model_validate({"data": "x", "variance": "0.5", "hidden": ""})
    assert (config.variance, config.hidden) == (0.5, ())
    for variance in ("0", "-1", "nan", "inf", "some"):
        with pytest.raises(ValidationError, match="variance"):
            TrainConfig.model_validate({"data": "x", "variance": variance})


def test_epochs_make_the_default_number_of_steps() -> None:
    assert resolve(TrainConfig(data="x", batch_size=30), IMAGES).epochs == 750  # 4 steps each
    assert resolve(TrainConfig(data="x", epochs=7), IMAGES).epochs == 7


def test_resolving_twice_changes_nothing() -> None:
    once = resolve(TrainConfig(data="x"), IMAGES)
    assert resolve(once, IMAGES) == once


def test_differences_name_what_would_change_the_result() -> None:
    before = TrainConfig(data="x")
    free = before.changeable_on_resume
    assert changed_options(before, TrainConfig(data="y", epochs=9, threads=2), free=free) == []
    other = TrainConfig(data="x", latent_dim=3)
    assert changed_options(before, other, free=free) == ["latent_dim: 16 → 3"]
    assert TrainConfig.model_fields.keys() >= CHANGEABLE_ON_RESUME


def test_the_epochs_of_a_curve_over_all_of_them_are_not_free_to_change() -> None:
    for schedule, changed in (("constant", []), ("cosine", ["epochs: 9 → 10"])):
        nine, ten = (
            TrainConfig.model_validate(
                {"data": "x", "epochs": epochs, "learning_rate_schedule": schedule}
            )
            for epochs in (9, 10)
        )
        assert changed_options(nine, ten, free=nine.changeable_on_resume) == changed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"free_bits": 0.1, "objective": "iwae", "draws": 2},
            "free_bits: has an effect only with objective elbo",
        ),
        ({"capacity": 5, "objective": "mmd"}, "capacity: has an effect only with objective elbo"),
        ({"free_bits": 0.1, "capacity": 5}, "capacity: cannot be combined with free_bits"),
        ({"capacity_epochs": 5}, "capacity_epochs: has an effect only with a capacity above 0"),
        ({"objective": "iwae"}, "draws: iwae needs 2 or more, not 1"),
        (
            {"objective": "beta-tc", "draws": 2},
            "draws: has an effect only with objective elbo, iwae or dreg",
        ),
        ({"mmd_weight": 3.0}, "mmd_weight: has an effect only with objective mmd"),
        ({"kl_schedule": "sigmoid"}, "kl_schedule: has an effect only with kl_anneal_epochs"),
        (
            {"kl_cycles": 2, "kl_anneal_epochs": 4},
            "kl_cycles: has an effect only with kl_schedule cyclical",
        ),
        ({"cuda_graph": True}, "cuda_graph: has an effect only with device cuda"),
        (
            {"cuda_graph": True, "device": "cuda", "aggressive": True},
            "cuda_graph: has an effect only with aggressive off",
        ),
        (
            {"plateau_factor": 0.1},
            "plateau_factor: has an effect only with learning_rate_schedule plateau",
        ),
        ({"adam_betas": (0.9, 1.0)}, "adam_betas"),
        ({"ema": 1.0}, "ema"),
    ],
)
def test_options_that_would_be_ignored_or_contradict_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainConfig.model_validate({"data": "x", **options})


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, ELBO),
        ({"objective": "iwae", "draws": 5}, IWAE),
        ({"objective": "dreg", "draws": 5}, DReG),
        ({"objective": "beta-tc", "beta": 6}, BetaTC),
        ({"objective": "mmd", "beta": 0}, InfoVAE),
    ],
)
def test_the_objective_is_the_one_asked_for(options: dict[str, Any], kind: type) -> None:
    config = TrainConfig.model_validate({"data": "x", **options})
    found = make_objective(config, rows=100)
    assert isinstance(found, kind)
    assert found.noise_samples == {IWAE: 5, DReG: 5, InfoVAE: 2}.get(kind, 1)


def test_conv_takes_one_hidden_width() -> None:
    with pytest.raises(ValidationError, match="one width"):
        TrainConfig(data="x", network="conv", hidden=(3, 4))


@pytest.mark.parametrize(
    ("options", "data", "message"),
    [
        ({"network": "conv"}, TABLE, "conv network needs images"),
        ({"binarise": "dynamic"}, TABLE, "binarise: needs values with known bounds"),
        ({"likelihood": "bernoulli", "scaling": "none"}, TABLE, r"needs values in \[0, 1\]"),
        ({"likelihood": "continuous-bernoulli"}, TABLE, r"needs values in \[0, 1\]"),
        ({"causal_radius": 2}, TABLE, "over the pixels of an image"),
        ({"causal_radius": 8}, IMAGES, "radius 8 needs images of 9×9 or more"),
        ({"likelihood": "categorical"}, TABLE, "categorical needs integers .* is float32"),
        ({"likelihood": "logistic"}, TABLE, "logistic needs integers .* is float32"),
        ({"likelihood": "poisson"}, TABLE, "poisson needs counts: .* the training rows contain "),
    ],
)
def test_parts_that_do_not_fit_are_named(
    options: dict[str, str], data: Dataset, message: str
) -> None:
    config = resolve(TrainConfig.model_validate({"data": "x", **options}), data)
    with pytest.raises(ConfigError, match=message):
        model_spec(config, data)


def test_the_seed_alone_decides_the_first_weights() -> None:
    spec = model_spec(resolve(TrainConfig(data="x"), IMAGES), IMAGES)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (build_vae(spec, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["encoder.0.weight"], other["encoder.0.weight"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "run or bundle: exactly one is required"),
        ({"run": "a", "bundle": "b"}, "run or bundle: exactly one is required"),
        ({"bundle": "b"}, "data: is required with bundle"),
        ({"run": "a", "binarise": True}, "binarise and seed: have an effect only with data"),
    ],
)
def test_an_evaluation_is_of_one_model_on_known_rows(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EvaluateCommand(**options)
