"""The table of columns in the report of a model of vectors."""

from collections.abc import Sequence

import numpy as np

from training.report.axes import label
from training.report.histogram import histogram
from training.report.html import Html, tag
from training.report.model_outputs import Floats, ModelOutputs

SHOWN = 60
WIDTH, HEIGHT = 120, 32


def column_names(outputs: ModelOutputs, most: int) -> Sequence[str]:
    """The names of the first columns, ``x[3]`` if they have none."""
    spec = outputs.spec.input
    return (spec.columns or [f"x[{index}]" for index in range(spec.size)])[:most]


def column_table(outputs: ModelOutputs) -> Html:
    """A table with statistics, reconstruction error and histogram of each column."""
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
    rows = [_row(outputs, index, name) for index, name in enumerate(column_names(outputs, SHOWN))]
    total = outputs.spec.input.size
    more = f"; the first {SHOWN} of {total:,}" if total > SHOWN else ""
    caption = tag(
        "figcaption",
        tag("h3", "Columns", tag("small", f" of {len(outputs.x)} held-out rows{more}")),
        tag(
            "p",
            "Error is the root mean square error of the reconstruction in the column's units. R² "
            "is the share of the column's variance that the reconstruction explains.",
        ),
    )
    listed = tag("div", tag("table", head, *rows), class_="scroll")
    return tag("figure", caption, listed, class_="wide")


def r_squared(x: Floats, reconstructions: Floats) -> float:
    """1 − residual / total sum of squares of a column; 1 for a constant column without error."""
    residual = float(np.square(x - reconstructions, dtype=np.float64).sum())
    total = float(np.square(x - x.mean(dtype=np.float64), dtype=np.float64).sum())
    if total == 0:
        return 1.0 if residual == 0 else 0.0
    return 1 - residual / total


def _row(outputs: ModelOutputs, index: int, name: str) -> Html:
    x, copy = outputs.x[:, index], outputs.reconstructions[:, index]
    error = float(np.sqrt(np.square(x - copy, dtype=np.float64).mean()))
    explained = r_squared(x, copy)
    alt = f"{name}: histogram of the data and of samples"
    width = f"width:{100 * min(max(explained, 0.0), 1.0):.0f}%"
    drawn = histogram(x, alt, samples=outputs.samples[:, index], width=WIDTH, height=HEIGHT)
    numbers = (label(float(x.mean())), label(float(x.std())), label(error), f"{explained:.3f}")
    return tag(
        "tr",
        tag("th", name, scope="row"),
        *(tag("td", number.replace("-", "−"), class_="number") for number in numbers),
        tag("td", tag("div", tag("i", style=width), class_="share")),
        tag("td", drawn),
    )
