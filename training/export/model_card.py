"""The model card: README.md of a bundle and of a run."""

import json

from training.config.options import TrainConfig
from training.evaluation.evaluate import Evaluation
from vae.manifest import (
    AutoregressiveFlow,
    Classes,
    CouplingFlow,
    Diagonal,
    Gaussian,
    GaussianMixture,
    InputSpec,
    Logistic,
    ModelSpec,
    StandardNormal,
    VampPrior,
    Vector,
)

ADDRESS = "http://127.0.0.1:8000"


def card(
    config: TrainConfig, spec: ModelSpec, evaluation: Evaluation, *, rows: int, epoch: int
) -> str:
    """Markdown: what the model is, how good it is, how it looks and how to use it."""
    return "\n\n".join(
        [
            f"# {config.name}",
            f"{lede(config, spec, rows=rows)[:-1]}; the weights are those after epoch {epoch:,}.",
            "![Samples from the prior](samples.png)",
            "## How good it is",
            f"On {evaluation.rows:,} rows that {_unseen(config)}, in nats for a row:",
            _figures(evaluation),
            "KL by latent, largest first: " + _kl(evaluation) + ".",
            _reconstructions(spec.input),
            "![Reconstructions](reconstructions.png)",
            "## How to use it",
            f"```sh\n{usage(config, spec)}\n```",
            f"One row is {_what(spec.input, one=True)}; send values as they are in the data"
            f"{_range(spec.input)}, scaling is part of the model.",
            "",
        ]
    )


def lede(config: TrainConfig, spec: ModelSpec, *, rows: int) -> str:
    """One sentence: what the model is and what it was trained on."""
    return (
        f"A variational autoencoder of {_what(spec.input)}, with {spec.latent_dim} latent "
        f"dimensions{_latents(spec)} and a {_likelihood(spec)} likelihood{_given(spec)}, "
        f"trained on {rows:,} rows of {source(config)} for {config.epochs:,} epochs."
    )


def _unseen(config: TrainConfig) -> str:
    """What is known of held-out rows."""
    if config.start_from:
        return "it was not trained on here, and the earlier model that it began with may have seen"
    return "it was not trained on"


def usage(config: TrainConfig, spec: ModelSpec) -> str:
    """The commands that serve the bundle and ask it for samples."""
    return f"python -m service --models {config.models}\n{_curl(config.name, spec)}"


def source(config: TrainConfig) -> str:
    """The data's own name: where it lay on the disk is nobody's business."""
    return config.data.rstrip("/").rsplit("/", 1)[-1]


def _figures(evaluation: Evaluation) -> str:
    rows = [
        ("ELBO", f"{evaluation.elbo:.2f}"),
        ("reconstruction, E[log p(x\\|z)]", f"{evaluation.reconstruction:.2f}"),
        ("KL(q(z\\|x) ‖ p(z))", f"{evaluation.kl:.2f}"),
        (
            f"importance-weighted bound, {evaluation.samples} draws",
            f"{evaluation.importance_weighted:.2f}",
        ),
        ("bits per dimension", f"{evaluation.bits_per_dimension:.3f}"),
        *((name.replace("_", " "), f"{nats:.2f}") for name, nats in evaluation.terms.items()),
        ("active units", f"{evaluation.active_units} of {evaluation.latents}"),
    ]
    return "\n".join(["| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows)])


def _kl(evaluation: Evaluation) -> str:
    parts = sorted(evaluation.kl_by_place().items(), key=lambda part: part[1], reverse=True)
    return ", ".join(f"{place} {kl:.2f}" for place, kl in parts)


def _latents(spec: ModelSpec) -> str:
    """What is particular about the latents; nothing where they are as they come."""
    ladder = spec.latents.ladder
    layers = f" in layers of {' and '.join(map(str, ladder.layers))}" if ladder else ""
    return layers + _posterior(spec) + _prior(spec) + _condition(spec)


def _condition(spec: ModelSpec) -> str:
    match spec.condition:
        case None:
            return ""
        case Classes(names=names):
            return f", conditional on one of {len(names)} classes"
        case Vector(names=names):
            return f", conditional on {', '.join(names)}"


def _posterior(spec: ModelSpec) -> str:
    match spec.latents.posterior:
        case Diagonal():
            return ""
        case AutoregressiveFlow(layers=layers):
            return f", an inverse autoregressive flow of {layers} steps as posterior"
        case CouplingFlow(layers=layers):
            return f", a RealNVP flow of {layers} steps as posterior"


def _prior(spec: ModelSpec) -> str:
    match spec.latents.prior:
        case StandardNormal():
            return ""
        case GaussianMixture(components=components):
            return f", a mixture of {components} Gaussians as prior"
        case VampPrior(components=components):
            return f", a VampPrior of {components} pseudo-inputs"


def _what(spec: InputSpec, *, one: bool = False) -> str:
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
        case Gaussian(variance=str(variance)):
            return f"Gaussian ({variance} variance)"
        case Gaussian(variance=variance):
            return f"Gaussian (variance {variance:g})"
        case Logistic(components=components):
            return f"logistic ({components} mixed)"
        case section:
            return section.kind.replace("-", " ").replace("bernoulli", "Bernoulli")


def _given(spec: ModelSpec) -> str:
    """What a pixel depends on beside z, and so what a decoded picture is."""
    if spec.autoregression is None:
        return ""
    return (
        " of each pixel given z and the pixels before it "
        f"(up to {spec.autoregression.radius} rows above and columns to either side; "
        "a decoded picture follows the mean of one pixel after another)"
    )


def _reconstructions(spec: InputSpec) -> str:
    if spec.kind == "image":
        return "Held-out images, and below each what the model makes of it:"
    return "Held-out values across, what the model makes of them upwards:"


def _range(spec: InputSpec) -> str:
    return f", {spec.range[0]:g} to {spec.range[1]:g}" if spec.range else ""


def _curl(name: str, spec: ModelSpec) -> str:
    image = spec.input.kind == "image"
    body: dict[str, object] = {"n": 64 if image else 3, "seed": 1}
    match spec.condition:
        case Classes(names=names):
            body["condition"] = names[0]
        case Vector(preprocessing=scaled):
            body["condition"] = [float(f"{mean:.4g}") for mean in scaled.shift]
    shell = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    picture = " -H 'Accept: image/png' -o samples.png" if image else ""
    request = f"-H 'Content-Type: application/json' -d '{shell}'"
    return f"curl {ADDRESS}/models/{name}/sample {request}{picture}"
