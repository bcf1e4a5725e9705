"""Describe a model in words, for the model card and the report."""

import json

from training.config.train_config import TrainConfig
from vae.manifest import (
    AutoregressiveFlowSpec,
    ClassCondition,
    CouplingFlowSpec,
    DiagonalGaussianSpec,
    GaussianMixtureSpec,
    GaussianSpec,
    InputSpec,
    LogisticMixtureSpec,
    ModelSpec,
    StandardNormalSpec,
    VampPriorSpec,
    VectorCondition,
)

ADDRESS = "http://127.0.0.1:8000"


def describe_model(config: TrainConfig, spec: ModelSpec, *, rows: int) -> str:
    """One sentence about the model and its training data."""
    return (
        f"A variational autoencoder of {describe_input(spec.input)}, with {spec.latent_dim} latent "
        f"dimensions{_latents(spec)} and a {_likelihood(spec)} likelihood{_autoregression(spec)}, "
        f"trained on {rows:,} rows of {data_name(config)} for {config.epochs:,} epochs."
    )


def usage_commands(config: TrainConfig, spec: ModelSpec) -> str:
    """The shell commands that serve the bundle and request samples."""
    return f"python -m service --models {config.models}\n{_curl(config.name, spec)}"


def data_name(config: TrainConfig) -> str:
    """The name of the data without its path, which may be private."""
    return config.data.rstrip("/").rsplit("/", 1)[-1]


def _latents(spec: ModelSpec) -> str:
    """The latents in words; empty for a diagonal posterior and a standard normal prior."""
    ladder = spec.latents.ladder
    layers = f" in layers of {' and '.join(map(str, ladder.layers))}" if ladder else ""
    return layers + _posterior(spec) + _prior(spec) + _condition(spec)


def _condition(spec: ModelSpec) -> str:
    match spec.condition:
        case None:
            return ""
        case ClassCondition(names=names):
            return f", conditional on one of {len(names)} classes"
        case VectorCondition(names=names):
            return f", conditional on {', '.join(names)}"


def _posterior(spec: ModelSpec) -> str:
    match spec.latents.posterior:
        case DiagonalGaussianSpec():
            return ""
        case AutoregressiveFlowSpec(layers=layers):
            return f", an inverse autoregressive flow of {layers} steps as posterior"
        case CouplingFlowSpec(layers=layers):
            return f", a RealNVP flow of {layers} steps as posterior"


def _prior(spec: ModelSpec) -> str:
    match spec.latents.prior:
        case StandardNormalSpec():
            return ""
        case GaussianMixtureSpec(components=components):
            return f", a mixture of {components} Gaussians as prior"
        case VampPriorSpec(components=components):
            return f", a VampPrior of {components} pseudo-inputs"


def describe_input(spec: InputSpec, *, one: bool = False) -> str:
    noun = "image" if spec.kind == "image" else "row"
    if spec.kind == "vector":
        columns = f" ({', '.join(spec.columns)})" if spec.columns and one else ""
        size = f"of {spec.size} numbers{columns}"
    else:
        colour = "colour" if len(spec.shape) == 3 else "gray"
        size = f"of {spec.shape[0]}×{spec.shape[1]} pixels, {colour}"
    return f"{'an' if noun == 'image' else 'a'} {noun} {size}" if one else f"{noun}s {size}"


def _likelihood(spec: ModelSpec) -> str:
    match spec.likelihood:
        case GaussianSpec(variance=str(variance)):
            return f"Gaussian ({variance} variance)"
        case GaussianSpec(variance=variance):
            return f"Gaussian (variance {variance:g})"
        case LogisticMixtureSpec(components=components):
            return f"logistic ({components} mixed)"
        case section:
            return section.kind.replace("-", " ").replace("bernoulli", "Bernoulli")


def _autoregression(spec: ModelSpec) -> str:
    """The pixels that a pixel depends on; empty if pixels are independent given z."""
    if spec.autoregression is None:
        return ""
    return (
        " of each pixel given z and the pixels before it "
        f"(up to {spec.autoregression.radius} rows above and columns to either side; "
        "a decoded image is computed pixel by pixel from the conditional means)"
    )


def _curl(name: str, spec: ModelSpec) -> str:
    image = spec.input.kind == "image"
    body: dict[str, object] = {"n": 64 if image else 3, "seed": 1}
    match spec.condition:
        case ClassCondition(names=names):
            body["condition"] = names[0]
        case VectorCondition(preprocessing=scaled):
            body["condition"] = [float(f"{mean:.4g}") for mean in scaled.shift]
    shell = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    picture = " -H 'Accept: image/png' -o samples.png" if image else ""
    request = f"-H 'Content-Type: application/json' -d '{shell}'"
    return f"curl {ADDRESS}/models/{name}/sample {request}{picture}"
