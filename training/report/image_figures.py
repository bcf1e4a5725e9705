"""The figures in the report of a model of images."""

import numpy as np
from numpy.typing import NDArray

from training.evaluation.pixels import Pixels
from training.evaluation.sharpness import COLUMNS as SHARPNESS_COLUMNS
from training.evaluation.sharpness import Sharpness, psnr_line, table_rows
from training.report.axes import label
from training.report.html import Html, concat, image, tag
from training.report.model_outputs import Floats, ModelOutputs
from training.report.tiles import spaced_grid, thumbnails

COLUMNS = 8
PAIRS = 16
EXTREMES = 8


def image_figures(outputs: ModelOutputs) -> Html:
    """Reconstructions, samples, and the least and most likely rows."""
    return concat(_reconstructions(outputs), _samples(outputs), _extremes(outputs))


def sharpness_figure(found: Sharpness) -> Html:
    """The sharpness of the images compared with the data."""
    head = tag("tr", *(tag("th", name, scope="col") for name in SHARPNESS_COLUMNS))
    rows = [
        tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells))
        for name, cells in table_rows(found).items()
    ]
    return _figure(
        "Sharpness",
        f"Compared with the data; {psnr_line(found)}",
        tag("div", tag("table", head, *rows, class_="facts"), class_="scroll"),
        class_="wide",
    )


def _reconstructions(outputs: ModelOutputs) -> Html:
    originals = _tiles(outputs, outputs.x[:PAIRS])
    copies = _tiles(outputs, outputs.reconstructions[:PAIRS])
    rows = [
        np.concatenate([originals[start : start + COLUMNS], copies[start : start + COLUMNS]])
        for start in range(0, len(originals), COLUMNS)
    ]
    sheets = [
        image(
            spaced_grid(pair, len(pair) // 2),
            f"{len(pair) // 2} held-out images and their reconstructions",
            class_="pixels",
        )
        for pair in rows
    ]
    return _figure(
        "Reconstructions",
        "Held-out images and, below each, its reconstruction",
        *sheets,
    )


def _samples(outputs: ModelOutputs) -> Html:
    tiles = _tiles(outputs, outputs.samples)
    alt = f"{len(tiles)} images decoded from draws of the prior"
    drawn = image(spaced_grid(tiles, COLUMNS), alt, class_="pixels")
    return _figure("Samples", "Decoded from draws of the prior", drawn, class_="tall")


def _extremes(outputs: ModelOutputs) -> Html:
    order = np.argsort(outputs.scores, kind="stable")
    return _figure(
        "Least and most likely",
        f"By the ELBO, among {len(outputs.scores)} held-out images",
        _ranked(outputs, order[:EXTREMES], "Least likely"),
        _ranked(outputs, order[::-1][:EXTREMES], "Most likely"),
    )


def _ranked(outputs: ModelOutputs, rows: NDArray[np.intp], name: str) -> Html:
    tiles = _tiles(outputs, outputs.x[rows])
    first, last = (label(float(outputs.scores[row])) for row in (rows[0], rows[-1]))
    return concat(
        tag("p", f"{name}: {first} to {last} nats", class_="note"),
        image(spaced_grid(tiles, len(tiles)), f"{name} held-out images", class_="pixels"),
    )


def _tiles(outputs: ModelOutputs, x: Floats) -> Pixels:
    return thumbnails(x, outputs.spec.input)


def _figure(title: str, what: str, *content: Html, class_: str | None = None) -> Html:
    caption = tag("figcaption", tag("h3", title), tag("p", what))
    return tag("figure", caption, *content, class_=class_)
