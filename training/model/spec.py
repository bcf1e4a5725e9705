"""Translate the options and the data into a ModelSpec, the model's sections of the manifest."""

from typing import Any

from pydantic import ValidationError

from training.config.options import DEFAULT_COMPONENTS, DEFAULT_FLOW_LAYERS, DEFAULT_LATENTS_HIDDEN
from training.config.train_config import TrainConfig
from training.data.conditions import condition_section
from training.data.dataset import TrainingSet
from training.data.scaling import preprocessing_section
from training.errors import ConfigError
from vae.manifest import COUNT_LIKELIHOODS, ModelSpec
from vae.networks import Preprocess

CLOSED_FORM_OBJECTIVES = frozenset({"dreg", "beta-tc", "mmd"})
"""Objectives that need a diagonal posterior and the standard normal prior."""


def model_spec(config: TrainConfig, train: TrainingSet) -> ModelSpec:
    """The model that a resolved config describes for ``train``.

    Raises ConfigError if its parts do not fit together or do not fit the data.
    """
    if config.scaling == "auto" or config.hidden is None:
        raise AssertionError("the config is not resolved. This is a bug.")
    try:
        spec = ModelSpec(
            input=train.input,
            preprocessing=preprocessing_section(train, config.scaling),
            condition=condition_section(train) if config.conditional else None,
            **_sections(config),
        )
    except ValidationError as error:
        raise ConfigError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    if config.binarise != "no" and train.input.range is None:
        raise ConfigError("binarise: needs values with known bounds, such as images have")
    _check_objective(spec, config)
    _check_values(spec, train, config.scaling)
    return spec


def _sections(config: TrainConfig) -> dict[str, Any]:
    """The sections that depend on the options only, as ModelSpec validates them.

    Options and sections have the same names for the kinds of their parts.
    """
    flow = {
        "layers": config.flow_layers or DEFAULT_FLOW_LAYERS,
        "hidden": config.latents_hidden or DEFAULT_LATENTS_HIDDEN,
    }
    components = {"components": config.prior_components or DEFAULT_COMPONENTS}
    ladder = {"layers": config.ladder, "hidden": flow["hidden"]}
    causal = {
        "radius": config.causal_radius,
        "channels": config.causal_channels,
        "layers": config.causal_layers,
    }
    likelihood_options: dict[str, dict[str, Any]] = {
        "gaussian": {"variance": config.variance},
        "logistic": {"components": config.logistics},
    }
    return {
        "latent_dim": config.latent_dim,
        "network": _network(config),
        "likelihood": {
            "kind": config.likelihood,
            **likelihood_options.get(config.likelihood, {}),
        },
        "latents": {
            "prior": {"kind": config.prior, **(components if config.prior != "normal" else {})},
            "posterior": {
                "kind": config.posterior,
                **(flow if config.posterior != "diagonal" else {}),
            },
            "ladder": ladder if config.ladder else None,
        },
        "autoregression": causal if config.causal_radius else None,
    }


def _network(config: TrainConfig) -> dict[str, Any]:
    layers = {"activation": config.activation, "residual_blocks": config.residual_blocks}
    hidden = config.hidden or ()
    if config.network == "conv":
        return {"kind": "conv", "channels": config.channels, "hidden": hidden[0], **layers}
    return {"kind": "mlp", "hidden": hidden, **layers}


def _check_objective(spec: ModelSpec, config: TrainConfig) -> None:
    needs_closed_form = config.objective in CLOSED_FORM_OBJECTIVES or config.aggressive
    if needs_closed_form and not spec.latents.closed_form:
        what = "aggressive: it" if config.aggressive else f"objective: {config.objective}"
        raise ConfigError(f"{what} needs a diagonal posterior and a standard normal prior")


def _check_values(spec: ModelSpec, train: TrainingSet, scaling: str) -> None:
    """Raise ConfigError for rows that have no probability under the likelihood."""
    kind = spec.likelihood.kind
    if kind in ("bernoulli", "continuous-bernoulli"):
        low, high = _value_range(Preprocess(spec.preprocessing), train)
        if low < 0 or high > 1:
            raise ConfigError(
                f"likelihood {kind} needs values in [0, 1]; with scaling {scaling} the "
                f"training rows reach from {low:g} to {high:g}"
            )
    if kind in COUNT_LIKELIHOODS:
        for rows in train.rows.pieces():
            invalid = rows[(rows < 0) | (rows != rows.round())]
            if len(invalid):
                raise ConfigError(
                    f"likelihood {kind} needs counts: 0, 1, 2 and so on; "
                    f"the training rows contain {invalid[0].item():g}"
                )


def _value_range(preprocess: Preprocess, train: TrainingSet) -> tuple[float, float]:
    """The smallest and the largest value of the preprocessed rows."""
    extremes = [preprocess(rows).aminmax() for rows in train.rows.pieces()]
    return min(float(e.min) for e in extremes), max(float(e.max) for e in extremes)
