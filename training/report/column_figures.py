"""What a model of vectors makes: a table, each column's reconstruction and its samples."""

from collections.abc import Sequence

import numpy as np

from training.report.axes import label
from training.report.histogram import histogram
from training.report.html import Html, tag
from training.report.model_outputs import Findings, Floats

SHOWN = 60
WIDTH, HEIGHT = 120, 32


def names(findings: Findings, most: int) -> Sequence[str]:
    """The first columns by name, or by number where they have none."""
    spec = findings.spec.input
    return (spec.columns or [f"x[{index}]" for index in range(spec.size)])[:most]


def columns(findings: Findings) -> Html:
    """The figure of a model of vectors."""
    head = tag(
        "tr",
        tag("th", "column", scope="col"),
        *(
            tag("th", name, scope="col", class_="number")
            for name in ("mean", "deviation", "error", "R²")
        ),
        tag("th", "explained", scope="col"),
        tag(
            "th",
            tag("i", class_="key data"),
            "data ",
            tag("i", class_="key series-0"),
            "samples",
            scope="col",
        ),
    )
    rows = [_row(findings, index, name) for index, name in enumerate(names(findings, SHOWN))]
    total = findings.spec.input.size
    more = f"; the first {SHOWN} of {total:,}" if total > SHOWN else ""
    caption = tag(
        "figcaption",
        tag("h3", "Columns", tag("small", f" of {len(findings.x)} held-out rows{more}")),
        tag(
            "p",
            "Error is the root mean square of what the reconstruction misses, in the column's own "
            "units; R² is the share of its variance that the reconstruction explains.",
        ),
    )
    listed = tag("div", tag("table", head, *rows), class_="scroll")
    return tag("figure", caption, listed, class_="wide")


def r_squared(x: Floats, reconstructions: Floats) -> float:
    """1 − residual / total sum of squares of one column; 1 for a constant one met exactly."""
    residual = float(np.square(x - reconstructions, dtype=np.float64).sum())
    total = float(np.square(x - x.mean(dtype=np.float64), dtype=np.float64).sum())
    if total == 0:
        return 1.0 if residual == 0 else 0.0
    return 1 - residual / total


def _row(findings: Findings, index: int, name: str) -> Html:
    x, copy = findings.x[:, index], findings.reconstructions[:, index]
    error = float(np.sqrt(np.square(x - copy, dtype=np.float64).mean()))
    explained = r_squared(x, copy)
    alt = f"{name}: histogram of the data and of samples"
    width = f"width:{100 * min(max(explained, 0.0), 1.0):.0f}%"
    drawn = histogram(x, alt, samples=findings.samples[:, index], width=WIDTH, height=HEIGHT)
    numbers = (label(float(x.mean())), label(float(x.std())), label(error), f"{explained:.3f}")
    return tag(
        "tr",
        tag("th", name, scope="row"),
        *(tag("td", number.replace("-", "−"), class_="number") for number in numbers),
        tag("td", tag("div", tag("i", style=width), class_="share")),
        tag("td", drawn),
    )
