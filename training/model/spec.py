"""From the options and the data to the sections of the manifest."""

from pydantic import TypeAdapter, ValidationError

from training.config.options import (
    DEFAULT_COMPONENTS,
    DEFAULT_FLOW_LAYERS,
    DEFAULT_LATENTS_HIDDEN,
    TrainConfig,
)
from training.config.types import Scaling
from training.data.conditions import condition_of
from training.data.dataset import TrainingSet
from training.data.scaling import preprocessing
from training.errors import ConfigError
from vae import manifest
from vae.manifest import COUNTS, ModelSpec
from vae.networks import Preprocess

CLOSED_FORM = frozenset({"dreg", "beta-tc", "mmd"})
"""Objectives that work on the densities of the standard latents."""


def model_spec(config: TrainConfig, train: TrainingSet) -> ModelSpec:
    """What to build, from a resolved config. Raises ConfigError when the parts do not fit."""
    try:
        spec = ModelSpec(
            input=train.input,
            preprocessing=preprocessing(train, _scaling(config)),
            latent_dim=config.latent_dim,
            likelihood=_likelihood(config),
            network=_network(config),
            autoregression=_autoregression(config),
            latents=_latents(config),
            condition=condition_of(train) if config.conditional else None,
        )
    except ValidationError as error:
        raise ConfigError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    if config.binarise != "no" and train.input.range is None:
        raise ConfigError("binarise: needs values with known bounds, as images have them")
    _check_values(spec, train, config.scaling)
    if not spec.latents.closed_form and (config.objective in CLOSED_FORM or config.aggressive):
        what = "aggressive: it" if config.aggressive else f"objective: {config.objective}"
        raise ConfigError(f"{what} needs a diagonal posterior and a standard normal prior")
    return spec


def _scaling(config: TrainConfig) -> Scaling:
    if config.scaling == "auto":
        raise AssertionError("the config is not resolved. This is a bug.")
    return config.scaling


def _likelihood(config: TrainConfig) -> manifest.Likelihood:
    options: dict[str, dict[str, object]] = {
        "gaussian": {"variance": config.variance},
        "logistic": {"components": config.logistics},
    }
    section = {"kind": config.likelihood, **options.get(config.likelihood, {})}
    return TypeAdapter[manifest.Likelihood](manifest.Likelihood).validate_python(section)


def _latents(config: TrainConfig) -> manifest.Latents:
    return manifest.Latents(
        prior=_prior(config), posterior=_posterior(config), ladder=_ladder(config)
    )


def _prior(config: TrainConfig) -> manifest.Prior:
    components = config.prior_components or DEFAULT_COMPONENTS
    match config.prior:
        case "normal":
            return manifest.StandardNormal()
        case "mixture":
            return manifest.GaussianMixture(components=components)
        case "vamp":
            return manifest.VampPrior(components=components)


def _posterior(config: TrainConfig) -> manifest.Posterior:
    layers = config.flow_layers or DEFAULT_FLOW_LAYERS
    hidden = config.latents_hidden or DEFAULT_LATENTS_HIDDEN
    match config.posterior:
        case "diagonal":
            return manifest.Diagonal()
        case "iaf":
            return manifest.AutoregressiveFlow(layers=layers, hidden=hidden)
        case "realnvp":
            return manifest.CouplingFlow(layers=layers, hidden=hidden)


def _ladder(config: TrainConfig) -> manifest.Ladder | None:
    if config.ladder is None:
        return None
    hidden = config.latents_hidden or DEFAULT_LATENTS_HIDDEN
    return manifest.Ladder(layers=config.ladder, hidden=hidden)


def _network(config: TrainConfig) -> manifest.Network:
    if config.hidden is None:
        raise AssertionError("the config is not resolved. This is a bug.")
    layers = manifest.Layers(activation=config.activation, residual_blocks=config.residual_blocks)
    if config.network == "conv":
        return manifest.Conv(**dict(layers), channels=config.channels, hidden=config.hidden[0])
    return manifest.MLP(**dict(layers), hidden=config.hidden)


def _autoregression(config: TrainConfig) -> manifest.Autoregression | None:
    if not config.causal_radius:
        return None
    return manifest.Autoregression(
        radius=config.causal_radius,
        channels=config.causal_channels,
        layers=config.causal_layers,
    )


def _check_values(spec: ModelSpec, train: TrainingSet, scaling: str) -> None:
    """Refuse rows that the likelihood gives no probability."""
    kind = spec.likelihood.kind
    if kind in ("bernoulli", "continuous-bernoulli"):
        low, high = _reach(Preprocess(spec.preprocessing), train)
        if low < 0 or high > 1:
            raise ConfigError(
                f"likelihood {kind} needs values in [0, 1]; with scaling {scaling} the "
                f"training rows reach from {low:g} to {high:g}"
            )
    if kind in COUNTS:
        for rows in train.rows.pieces():
            odd = rows[(rows < 0) | (rows != rows.round())]
            if len(odd):
                raise ConfigError(
                    f"likelihood {kind} needs counts, 0, 1, 2 and so on; "
                    f"the training rows hold {odd[0].item():g}"
                )


def _reach(preprocess: Preprocess, train: TrainingSet) -> tuple[float, float]:
    """The smallest and the largest value of the preprocessed rows."""
    extremes = [preprocess(rows).aminmax() for rows in train.rows.pieces()]
    return min(float(e.min) for e in extremes), max(float(e.max) for e in extremes)
