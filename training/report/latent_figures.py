"""What the latents hold: KL of each, where the data lies in them, and what moves with each."""

import numpy as np

from training.evaluation.pixels import Pixels, sheet
from training.report.axes import Scale, label, span
from training.report.column_figures import names
from training.report.histogram import histogram
from training.report.html import Html, data_uri, join, picture, tag
from training.report.model_outputs import STEPS, Findings, Part
from training.report.tiles import small, spaced

BARS = 100
"""Latents whose KL is drawn, the largest first."""

MOST_LABELS = 20
"""Kinds that colours can tell apart; labels of more are numbers to a reader, not kinds."""

COLUMNS = 24
"""Columns of a vector whose movement is told."""

SIDE = 320
MARGIN = 10
SPRITE = 24
"""Pixels of a thumbnail's longer side."""


def kl_bars(findings: Findings) -> Html:
    """One bar for each latent, the largest KL first; latents that are not active are pale."""
    parts = sorted(findings.parts, key=lambda part: part.kl, reverse=True)[:BARS]
    top, bottom = (label(part.kl) for part in (parts[0], parts[-1]))
    active = f"{findings.active_units} of {len(findings.spread)} latents are active"
    summary = f"KL of {len(parts)} parts of z, largest first, from {top} to {bottom} nats; {active}"
    caption = tag(
        "figcaption",
        tag("h3", "KL of each latent", tag("small", " nats, largest first")),
        tag("p", f"{active}; the highest bar is {top} nats"),
    )
    bars = [_bar(part, height=part.kl / max(parts[0].kl, 1e-6)) for part in parts]
    listed = tag("ol", *bars, class_="bars", role="img", aria_label=summary)
    return tag("figure", caption, listed)


def _bar(part: Part, *, height: float) -> Html:
    return tag(
        "li",
        tag("i", style=f"height:{100 * max(height, 0.0):.1f}%"),
        class_="active" if part.active else "idle",
        title=f"{part.place}: {label(part.kl)} nats",
    )


def projection(findings: Findings) -> Html:
    """z of held-out rows on its two principal axes; of images each point knows its picture."""
    across = Scale(*span(findings.projection[:, 0].tolist()), MARGIN, SIDE - MARGIN)
    up = Scale(*span(findings.projection[:, 1].tolist()), SIDE - MARGIN, MARGIN)
    kinds = _kinds(findings)
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
            zip(findings.projection.tolist(), _names(findings), strict=True)
        )
    ]
    shares = " and ".join(f"{100 * share:.0f}%" for share in findings.explained)
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
    stage = tag("div", drawing, _lens(findings), class_="stage")
    return tag("figure", caption, stage, class_="tall")


def scores(findings: Findings) -> Html:
    """How the ELBO is spread over held-out rows: what a service takes its p-values from."""
    low, high = float(findings.scores.min()), float(findings.scores.max())
    caption = tag(
        "figcaption",
        tag("h3", "ELBO of each row", tag("small", " nats")),
        tag("p", f"{len(findings.scores)} held-out rows; a row far to the left is an anomaly"),
    )
    alt = f"Histogram of the ELBO of held-out rows, from {label(low)} to {label(high)} nats"
    drawn = histogram(findings.scores, alt, width=360, height=120)
    ends = tag("p", tag("span", label(low)), tag("span", label(high)), class_="ends")
    return tag("figure", caption, drawn, ends)


def traversals(findings: Findings) -> Html:
    """Images: one held-out picture as each latent moves. Vectors: how far each column moves."""
    if findings.spec.input.kind == "image":
        return _strips(findings)
    return _slopes(findings)


def _names(findings: Findings) -> list[int]:
    if findings.labels is None:
        return [0] * len(findings.projection)
    return [int(kind) for kind in findings.labels]


def _kinds(findings: Findings) -> list[int] | None:
    """The labels that occur, in order; None when there are none or too many for colours."""
    if findings.labels is None:
        return None
    kinds = sorted(set(findings.labels.tolist()))
    return kinds if 1 < len(kinds) <= MOST_LABELS else None


def _legend(kinds: list[int]) -> Html:
    entries = [
        tag("span", tag("i", class_=f"key kind-{index}"), str(kind))
        for index, kind in enumerate(kinds)
    ]
    return tag("p", *entries, class_="legend")


def _lens(findings: Findings) -> Html:
    """The thumbnails of all points on one sheet, of which the page's script shows one."""
    if findings.spec.input.kind != "image":
        return Html()
    tiles = small(findings.x, findings.spec.input, SPRITE)
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


def _strips(findings: Findings) -> Html:
    shape = findings.traversals.shape
    tiles = small(findings.traversals.reshape(-1, *shape[2:]), findings.spec.input)
    strips = tiles.reshape(*shape[:2], *tiles.shape[1:])
    rows = [
        _strip(strip, latent, float(findings.spread[latent]))
        for strip, latent in zip(strips, findings.traversed, strict=True)
    ]
    caption = tag(
        "figcaption",
        tag("h3", "Traversals", tag("small", " one latent at a time")),
        tag(
            "p",
            f"One held-out image is encoded, then one latent is set to values from "
            f"{label(STEPS[0])} to {label(STEPS[-1])}, left to right, and the others stay. Beside "
            "each stands the variance of its mean over the data.",
        ),
    )
    return tag("figure", caption, tag("div", *rows, class_="strips"), class_="wide")


def _strip(strip: Pixels, latent: int, spread: float) -> Html:
    name = f"z[{latent}]"
    alt = f"What the decoder draws as {name} goes from {STEPS[0]:g} to {STEPS[-1]:g}"
    return join(
        tag("span", name, tag("small", f" {spread:.2f}")),
        picture(spaced(strip, len(strip)), alt, class_="pixels"),
    )


def _slopes(findings: Findings) -> Html:
    """A table, latents by columns: change of a column over the traversal in its deviations."""
    deviation = findings.x.std(axis=0)
    moved = findings.traversals[:, -1] - findings.traversals[:, 0]
    change = moved / np.where(deviation > 0, deviation, 1)
    shown = names(findings, COLUMNS)
    head = tag("tr", tag("td"), *(tag("th", name, scope="col", class_="number") for name in shown))
    rows = [
        tag(
            "tr",
            tag("th", f"z[{latent}]", scope="row"),
            *(_cell(value) for value in row[: len(shown)].tolist()),
        )
        for latent, row in zip(findings.traversed, change, strict=True)
    ]
    caption = tag(
        "figcaption",
        tag("h3", "Traversals", tag("small", " one latent at a time")),
        tag(
            "p",
            "How far each column moves, in its standard deviations, while one latent of a held-out "
            f"row goes from {label(STEPS[0])} to {label(STEPS[-1])} and the others stay.",
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
