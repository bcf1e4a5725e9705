"""The metrics of a run by epoch: small SVG charts with a common epoch axis and pointer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.report.axes import Scale, label, span, ticks
from training.report.html import Html, concat, tag

History = Sequence[Mapping[str, Any]]

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 348, 10, 166
EDGE = 3
"""A margin around the plot, so that a line along its border is not clipped."""

BEYOND = 10_000.0
POINTS = 400
"""Maximum number of drawn epochs; a longer run is subsampled."""

STEEP = 20
"""The first 1/20 of a run does not count for the scale, because its steep rise would flatten the
rest."""


@dataclass(frozen=True)
class Chart:
    """One panel: the keys of ``metrics.jsonl`` that it draws, with their labels."""

    title: str
    unit: str
    series: Mapping[str, str]
    from_zero: bool = False


CHARTS = (
    Chart("ELBO", "nats", {"elbo": "training", "held_out_elbo": "held out"}),
    Chart("Reconstruction", "nats", {"reconstruction": "log p(x|z)"}),
    Chart("KL", "nats", {"kl": "KL(q‖p)"}),
    Chart("Active units", "latents", {"active_units": "active"}, from_zero=True),
    Chart("β", "weight of the KL", {"beta": "β"}, from_zero=True),
    Chart("Learning rate", "", {"learning_rate": "rate"}, from_zero=True),
)


def curves(history: History) -> Html:
    """All charts that the history has numbers for, with the numbers for the pointer."""
    lines = subsample(history)
    shown = [chart for chart in CHARTS if any(_values(lines, key) for key in chart.series)]
    figures = [_figure(chart, lines) for chart in shown]
    keys = ["epoch", *(key for chart in shown for key in chart.series)]
    columns = {key: [line.get(key) for line in lines] for key in keys}
    # "<" is the only character of JSON that could end the script element.
    data = Html(json.dumps(columns, separators=(",", ":")).replace("<", "\\u003c"))
    return concat(
        tag("div", *figures, class_="charts"),
        tag("script", data, type="application/json", id="history"),
    )


def subsample(history: History) -> History:
    """Every n-th line, at most POINTS, and the last one."""
    step = -(-len(history) // POINTS)
    return [*history[:-1][:: step or 1], *history[-1:]]


def _figure(chart: Chart, lines: History) -> Html:
    drawn = [key for key in chart.series if _values(lines, key)]
    keys = [
        tag(
            "span",
            tag("i", class_=f"key series-{number}"),
            chart.series[key] + " ",
            tag("output", _last(lines, key), data_key=key),
        )
        for number, key in enumerate(drawn)
    ]
    caption = tag(
        "figcaption",
        tag("h3", chart.title, tag("small", f" {chart.unit}" if chart.unit else "")),
        tag("p", *keys, class_="readout"),
    )
    return tag("figure", caption, _svg(chart, drawn, lines), class_="chart")


def _svg(chart: Chart, drawn: Sequence[str], lines: History) -> Html:
    across = _epochs(lines)
    low, high = span(
        value for key in drawn for value in _values(lines[_first_scaled(lines) :], key)
    )
    up = Scale(0.0 if chart.from_zero else low, high, BOTTOM, TOP)
    content = [
        *(_level(tick, up) for tick in ticks(up.low, up.high)),
        *(_epoch(tick, across) for tick in ticks(across.low, across.high) if tick == int(tick)),
        _plot(*(_path(lines, key, number, across, up) for number, key in enumerate(drawn))),
        tag("line", class_="pointer", y1=TOP, y2=BOTTOM, x1=RIGHT, x2=RIGHT),
    ]
    return tag(
        "svg",
        *content,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=_summary(chart, drawn, lines),
        data_left=LEFT,
        data_right=RIGHT,
        data_low=across.low,
        data_high=across.high,
    )


def _epochs(lines: History) -> Scale:
    first, last = lines[0]["epoch"], lines[-1]["epoch"]
    return Scale(first if last > first else first - 1, last, LEFT, RIGHT)


def _first_scaled(lines: History) -> int:
    return len(lines) // STEEP


def _level(value: float, up: Scale) -> Html:
    y = up(value)
    return concat(
        tag("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="grid"),
        tag("text", label(value), x=LEFT - 8, y=y + 3.5, class_="tick", text_anchor="end"),
    )


def _epoch(value: float, across: Scale) -> Html:
    return tag(
        "text", label(value), x=across(value), y=BOTTOM + 18, class_="tick", text_anchor="middle"
    )


def _plot(*content: Html) -> Html:
    """A nested SVG in the same coordinates, which clips the curves at the border of the plot."""
    x, y = LEFT - EDGE, TOP - EDGE
    width, height = RIGHT - LEFT + 2 * EDGE, BOTTOM - TOP + 2 * EDGE
    box = f"{x} {y} {width} {height}"
    return tag("svg", *content, x=x, y=y, width=width, height=height, viewBox=box)


def _path(lines: History, key: str, number: int, across: Scale, up: Scale) -> Html:
    """A line with gaps where numbers are missing; a single epoch becomes a dot."""
    runs: list[list[tuple[float, float]]] = [[]]
    for line in lines:
        if line.get(key) is None:
            runs.append([])
        else:
            runs[-1].append((across(line["epoch"]), min(max(up(line[key]), -BEYOND), BEYOND)))
    parts = []
    for run in filter(None, runs):
        points = run if len(run) > 1 else run * 2
        parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points))
    return tag("path", d="".join(parts), class_=f"curve series-{number}")


def _summary(chart: Chart, drawn: Sequence[str], lines: History) -> str:
    parts = []
    for key in drawn:
        values = _values(lines, key)
        parts.append(f"{chart.series[key]} from {label(values[0])} to {label(values[-1])}")
    return f"{chart.title} by epoch: {', '.join(parts)}"


def _values(lines: History, key: str) -> list[float]:
    return [line[key] for line in lines if line.get(key) is not None]


def _last(lines: History, key: str) -> str:
    return label(_values(lines, key)[-1])
