"""The model card: the README.md of a bundle and of a run."""

from training.config.train_config import TrainConfig
from training.evaluation.evaluate import Evaluation
from training.report.description import describe_input, describe_model, usage_commands
from vae.manifest import (
    InputSpec,
    ModelSpec,
)


def model_card(
    config: TrainConfig, spec: ModelSpec, evaluation: Evaluation, *, rows: int, epoch: int
) -> str:
    """The model card in Markdown: description, evaluation, images and usage."""
    return "\n\n".join(
        [
            f"# {config.name}",
            f"{describe_model(config, spec, rows=rows)} "
            f"The weights are those after epoch {epoch:,}.",
            "![Samples from the prior](samples.png)",
            "## Evaluation",
            f"On {evaluation.rows:,} held-out rows, in nats per row{_start_from_note(config)}:",
            _metrics_table(evaluation),
            "KL by latent, largest first: " + _kl(evaluation) + ".",
            _reconstructions(spec.input),
            "![Reconstructions](reconstructions.png)",
            "## Usage",
            f"```sh\n{usage_commands(config, spec)}\n```",
            f"One row is {describe_input(spec.input, one=True)}. Send values in units of the data"
            f"{_range(spec.input)}; the model scales them.",
            "",
        ]
    )


def _start_from_note(config: TrainConfig) -> str:
    if config.start_from:
        return " (the earlier model that training started from may have been trained on them)"
    return ""


def _metrics_table(evaluation: Evaluation) -> str:
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
    parts = sorted(evaluation.kl_by_latent().items(), key=lambda part: part[1], reverse=True)
    return ", ".join(f"{latent} {kl:.2f}" for latent, kl in parts)


def _reconstructions(spec: InputSpec) -> str:
    if spec.kind == "image":
        return "Held-out images and, below each, its reconstruction:"
    return "Held-out values on the horizontal axis, their reconstructions on the vertical axis:"


def _range(spec: InputSpec) -> str:
    return f", {spec.range[0]:g} to {spec.range[1]:g}" if spec.range else ""
