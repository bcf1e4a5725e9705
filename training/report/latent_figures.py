"""The figures of the latents: KL, projection, scores and traversals."""

import numpy as np

from training.evaluation.pixels import Pixels, sheet
from training.report.axes import Scale, label, span
from training.report.column_figures import column_names
from training.report.histogram import histogram
from training.report.html import Html, concat, data_uri, image, tag
from training.report.model_outputs import STEPS, LatentKL, ModelOutputs
from training.report.tiles import spaced_grid, thumbnails

BARS = 100
"""Maximum number of latents in the KL chart, the largest first."""

MOST_LABELS = 20
"""Maximum number of labels that are shown as colours."""

COLUMNS = 24
"""Maximum number of columns in the traversal table."""

SIDE = 320
MARGIN = 10
SPRITE = 24
"""Size of a thumbnail's longer side in pixels."""


def kl_bars(outputs: ModelOutputs) -> Html:
    """A bar chart of the KL of each latent, the largest first. Inactive latents are pale."""
    parts = sorted(outputs.parts, key=lambda part: part.kl, reverse=True)[:BARS]
    top, bottom = (label(part.kl) for part in (parts[0], parts[-1]))
    active = f"{outputs.active_units} of {len(outputs.spread)} latents are active"
    summary = f"KL of {len(parts)} parts of z, largest first, from {top} to {bottom} nats; {active}"
    caption = tag(
        "figcaption",
        tag("h3", "KL of each latent", tag("small", " nats, largest first")),
        tag("p", f"{active}; the highest bar is {top} nats"),
    )
    bars = [_bar(part, height=part.kl / max(parts[0].kl, 1e-6)) for part in parts]
    listed = tag("ol", *bars, class_="bars", role="img", aria_label=summary)
    return tag("figure", caption, listed)


def _bar(part: LatentKL, *, height: float) -> Html:
    return tag(
        "li",
        tag("i", style=f"height:{100 * max(height, 0.0):.1f}%"),
        class_="active" if part.active else "idle",
        title=f"{part.name}: {label(part.kl)} nats",
    )


def projection(outputs: ModelOutputs) -> Html:
    """z of held-out rows on the two principal axes. Points of images show a thumbnail."""
    across = Scale(*span(outputs.projection[:, 0].tolist()), MARGIN, SIDE - MARGIN)
    up = Scale(*span(outputs.projection[:, 1].tolist()), SIDE - MARGIN, MARGIN)
    kinds = _kinds(outputs)
    points = [
        tag(
            "circle",
            cx=across(x),
            cy=up(y),
            r=3,
            class_="point" if kinds is None else f"point kind-{kinds.index(name)}",
            data_index=index,
            data_name=None if kinds is None else name,
        )
        for index, ((x, y), name) in enumerate(
            zip(outputs.projection.tolist(), _names(outputs), strict=True)
        )
    ]
    shares = " and ".join(f"{100 * share:.0f}%" for share in outputs.explained)
    drawing = tag(
        "svg",
        *points,
        viewBox=f"0 0 {SIDE} {SIDE}",
        class_="projection",
        role="img",
        aria_label=f"z of {len(points)} held-out rows on two principal axes",
    )
    caption = tag(
        "figcaption",
        tag("h3", "The latents in two dimensions", tag("small", " principal components of z")),
        tag("p", f"{len(points)} held-out rows; the two axes hold {shares} of the variance of z"),
        *([] if kinds is None else [_legend(kinds)]),
    )
    stage = tag("div", drawing, _lens(outputs), class_="stage")
    return tag("figure", caption, stage, class_="tall")


def score_histogram(outputs: ModelOutputs) -> Html:
    """A histogram of the ELBO of held-out rows, from which a server computes p-values."""
    low, high = float(outputs.scores.min()), float(outputs.scores.max())
    caption = tag(
        "figcaption",
        tag("h3", "ELBO of each row", tag("small", " nats")),
        tag("p", f"{len(outputs.scores)} held-out rows; rows far to the left are anomalies"),
    )
    alt = f"Histogram of the ELBO of held-out rows, from {label(low)} to {label(high)} nats"
    drawn = histogram(outputs.scores, alt, width=360, height=120)
    ends = tag("p", tag("span", label(low)), tag("span", label(high)), class_="ends")
    return tag("figure", caption, drawn, ends)


def traversals(outputs: ModelOutputs) -> Html:
    """Images: one held-out image with one latent varied. Vectors: the change of each column."""
    if outputs.spec.input.kind == "image":
        return _strips(outputs)
    return _slopes(outputs)


def _names(outputs: ModelOutputs) -> list[int]:
    if outputs.labels is None:
        return [0] * len(outputs.projection)
    return [int(kind) for kind in outputs.labels]


def _kinds(outputs: ModelOutputs) -> list[int] | None:
    """The labels in order; None if there are none or too many for colours."""
    if outputs.labels is None:
        return None
    kinds = sorted(set(outputs.labels.tolist()))
    return kinds if 1 < len(kinds) <= MOST_LABELS else None


def _legend(kinds: list[int]) -> Html:
    entries = [
        tag("span", tag("i", class_=f"key kind-{index}"), str(kind))
        for index, kind in enumerate(kinds)
    ]
    return tag("p", *entries, class_="legend")


def _lens(outputs: ModelOutputs) -> Html:
    """The thumbnails of all points in one image, from which the page's script shows one."""
    if outputs.spec.input.kind != "image":
        return Html()
    tiles = thumbnails(outputs.x, outputs.spec.input, SPRITE)
    columns = int(np.ceil(np.sqrt(len(tiles))))
    height, width = tiles.shape[1:3]
    uri = data_uri(sheet(tiles, columns))
    return tag(
        "div",
        class_="lens",
        hidden="",
        style=f"background-image:url({uri})",
        data_columns=columns,
        data_width=width,
        data_height=height,
    )


def _strips(outputs: ModelOutputs) -> Html:
    shape = outputs.traversals.shape
    tiles = thumbnails(outputs.traversals.reshape(-1, *shape[2:]), outputs.spec.input)
    strips = tiles.reshape(*shape[:2], *tiles.shape[1:])
    rows = [
        _strip(strip, latent, float(outputs.spread[latent]))
        for strip, latent in zip(strips, outputs.traversed, strict=True)
    ]
    caption = tag(
        "figcaption",
        tag("h3", "Traversals", tag("small", " one latent at a time")),
        tag(
            "p",
            f"One held-out image is encoded. Then one latent is set to values from "
            f"{label(STEPS[0])} to {label(STEPS[-1])}, left to right; the others are unchanged. "
            "The number is the variance of the latent over the data.",
        ),
    )
    return tag("figure", caption, tag("div", *rows, class_="strips"), class_="wide")


def _strip(strip: Pixels, latent: int, spread: float) -> Html:
    name = f"z[{latent}]"
    alt = f"Decoded images as {name} goes from {STEPS[0]:g} to {STEPS[-1]:g}"
    return concat(
        tag("span", name, tag("small", f" {spread:.2f}")),
        image(spaced_grid(strip, len(strip)), alt, class_="pixels"),
    )


def _slopes(outputs: ModelOutputs) -> Html:
    """A table of latents by columns: the change of a column in standard deviations."""
    deviation = outputs.x.std(axis=0)
    moved = outputs.traversals[:, -1] - outputs.traversals[:, 0]
    change = moved / np.where(deviation > 0, deviation, 1)
    shown = column_names(outputs, COLUMNS)
    head = tag("tr", tag("td"), *(tag("th", name, scope="col", class_="number") for name in shown))
    rows = [
        tag(
            "tr",
            tag("th", f"z[{latent}]", scope="row"),
            *(_cell(value) for value in row[: len(shown)].tolist()),
        )
        for latent, row in zip(outputs.traversed, change, strict=True)
    ]
    caption = tag(
        "figcaption",
        tag("h3", "Traversals", tag("small", " one latent at a time")),
        tag(
            "p",
            "The change of each column, in its standard deviations, while one latent of a held-out "
            f"row goes from {label(STEPS[0])} to {label(STEPS[-1])}; the others are unchanged.",
        ),
    )
    return tag(
        "figure", caption, tag("div", tag("table", head, *rows), class_="scroll"), class_="wide"
    )


def _cell(value: float) -> Html:
    strength = round(min(abs(value) / 4, 1.0) * 70)
    colour = "--up" if value > 0 else "--down"
    style = f"background:color-mix(in oklab, var({colour}) {strength}%, transparent)"
    return tag("td", f"{value:+.1f}".replace("-", "−"), style=style, class_="number")
