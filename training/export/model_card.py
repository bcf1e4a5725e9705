"""The model card: README.md of a bundle and of a run."""

from training.config.options import TrainConfig
from training.evaluation.evaluate import Evaluation
from training.report.description import _what, lede, usage
from vae.manifest import (
    InputSpec,
    ModelSpec,
)


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


def _unseen(config: TrainConfig) -> str:
    """What is known of held-out rows."""
    if config.start_from:
        return "it was not trained on here, and the earlier model that it began with may have seen"
    return "it was not trained on"


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


def _reconstructions(spec: InputSpec) -> str:
    if spec.kind == "image":
        return "Held-out images, and below each what the model makes of it:"
    return "Held-out values across, what the model makes of them upwards:"


def _range(spec: InputSpec) -> str:
    return f", {spec.range[0]:g} to {spec.range[1]:g}" if spec.range else ""
