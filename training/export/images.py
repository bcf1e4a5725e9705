"""The images of a run as PNG files: samples, reconstructions and training curves."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from training.evaluation.generate import reconstruct, sample_prior
from training.evaluation.pixels import COLUMNS, GAP, WHITE, Pixels, grid, to_pixels, to_png
from training.system.seeds import Purpose, generator
from vae.manifest import InputSpec
from vae.networks import VAE

SAMPLES = 64
RECONSTRUCTIONS = 16
POINTS = 1000
PANELS = 12
"""At most this many columns of a table are drawn."""

BLUE, ORANGE, GRAY = "#2563eb", "#ea580c", "#9ca3af"


@torch.inference_mode()
def samples(vae: VAE, held_out: Tensor, seed: int, c: Tensor | None = None) -> bytes:
    """Decoded draws of the prior as a PNG: a grid of images, or a histogram of each column.

    The samples of a conditional model have the conditions c of the held-out rows, sorted.
    """
    noise = generator(seed, Purpose.IMAGES)
    spec = vae.spec.input
    if spec.kind == "image":
        return to_png(grid(to_pixels(sample_prior(vae, SAMPLES, noise, c), spec)))
    return _histograms(spec, held_out[:POINTS].float(), sample_prior(vae, POINTS, noise, c))


@torch.inference_mode()
def reconstructions(vae: VAE, held_out: Tensor, c: Tensor | None = None) -> bytes:
    """Held-out rows and their reconstructions as a PNG: pairs of images one above the other, or a
    scatter plot of each column.
    """
    spec = vae.spec.input
    count = RECONSTRUCTIONS if spec.kind == "image" else POINTS
    x = held_out[:count].float()
    decoded = reconstruct(vae.conditioned_on(None if c is None else c[:count]), x)
    if spec.kind == "vector":
        return _scatters(spec, x, decoded)
    originals, copies = to_pixels(x, spec), to_pixels(decoded, spec)
    pairs = [
        grid(np.concatenate([part[i : i + COLUMNS] for part in (originals, copies)]), len(row))
        for i in range(0, len(originals), COLUMNS)
        if len(row := originals[i : i + COLUMNS])
    ]
    return to_png(_stack(pairs))


def curves(history: Sequence[Mapping[str, Any]]) -> bytes:
    """The ELBO on training and held-out rows, the KL and the active units by epoch, as a PNG."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    bound, parts = figure.subplots(1, 2)
    _curve(bound, history, "elbo", "training", BLUE)
    _curve(bound, history, "held_out_elbo", "held out", ORANGE)
    bound.set(title="ELBO", xlabel="epoch", ylabel="nats")
    _curve(parts, history, "kl", "KL", BLUE)
    units = parts.twinx()
    _curve(units, history, "active_units", "active units", ORANGE)
    parts.set(title="KL and active units", xlabel="epoch", ylabel="nats")
    units.set(ylabel="latents", ylim=(0, None))
    bound.legend(frameon=False, loc="lower right")
    parts.legend(handles=[*parts.get_lines(), *units.get_lines()], frameon=False, loc="lower right")
    _set_scale(bound, history)
    return _figure_png(figure)


def _stack(sheets: Sequence[Pixels]) -> Pixels:
    """The sheets one below the other, padded on the right."""
    width = max(sheet.shape[1] for sheet in sheets)
    return np.concatenate(
        [
            np.pad(
                sheet,
                ((0, 2 * GAP), (0, width - sheet.shape[1]), (0, 0)),
                mode="constant",
                constant_values=WHITE,
            )
            for sheet in sheets
        ]
    )


def _histograms(spec: InputSpec, data: Tensor, drawn: Tensor) -> bytes:
    figure, panels = _panels(spec)
    for column, panel in enumerate(panels):
        both = [data[:, column].numpy(), drawn[:, column].numpy()]
        bins = np.histogram_bin_edges(np.concatenate(both), bins=40)
        for values, colour, label in zip(both, (GRAY, BLUE), ("data", "samples"), strict=True):
            panel.hist(values, bins=list(bins), density=True, alpha=0.6, color=colour, label=label)
        panel.set_yticks([])
    panels[0].legend(frameon=False)
    return _figure_png(figure)


def _scatters(spec: InputSpec, x: Tensor, decoded: Tensor) -> bytes:
    figure, panels = _panels(spec)
    for column, panel in enumerate(panels):
        panel.axline((float(x[0, column]),) * 2, slope=1, color=GRAY, linewidth=1)
        panel.plot(
            x[:, column].numpy(), decoded[:, column].numpy(), ".", color=BLUE, alpha=0.4, ms=4
        )
    panels[0].set(xlabel="data", ylabel="reconstruction")
    return _figure_png(figure)


def _panels(spec: InputSpec) -> tuple[Figure, list[Axes]]:
    """A panel for each of the first columns, with its name as title."""
    names = (spec.columns or [f"x[{i}]" for i in range(spec.size)])[:PANELS]
    across = min(4, len(names))
    down = -(-len(names) // across)
    figure = Figure(figsize=(3 * across, 2.6 * down), layout="constrained")
    panels = [figure.add_subplot(down, across, i + 1) for i in range(len(names))]
    for name, panel in zip(names, panels, strict=True):
        panel.set_title(name.replace("$", r"\$"), fontsize=10)  # a dollar starts a formula
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _curve(
    panel: Axes, history: Sequence[Mapping[str, Any]], key: str, label: str, colour: str
) -> None:
    points = [(line["epoch"], line[key]) for line in history if line[key] is not None]
    style = "o-" if len(points) < 20 else "-"
    panel.plot(*zip(*points, strict=True), style, ms=3, color=colour, label=label)
    panel.spines["top"].set_visible(False)
    panel.grid(alpha=0.2)


def _set_scale(panel: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    """Exclude the first, steep epochs from the scale, so that the others are readable."""
    tail = history[len(history) // 20 :]
    values = [line[key] for line in tail for key in ("elbo", "held_out_elbo")]
    finite = [value for value in values if value is not None]
    margin = 0.05 * (max(finite) - min(finite)) or 1.0
    panel.set_ylim(min(finite) - margin, max(finite) + margin)


def _figure_png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
