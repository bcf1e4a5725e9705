"""What a model of images makes: reconstructions, samples, and the rows it finds most unlikely."""

import numpy as np
from numpy.typing import NDArray

from training.evaluation.pixels import Pixels
from training.evaluation.sharpness import FIGURES, Sharpness, decibels, told
from training.report.axes import label
from training.report.html import Html, join, picture, tag
from training.report.model_outputs import Findings, Floats
from training.report.tiles import small, spaced

COLUMNS = 8
PAIRS = 16
EXTREMES = 8


def images(findings: Findings) -> Html:
    """The figures of a model of images."""
    return join(_reconstructions(findings), _samples(findings), _extremes(findings))


def sharpness(found: Sharpness) -> Html:
    """The table of how sharp the pictures are beside the data."""
    head = tag("tr", *(tag("th", name, scope="col") for name in FIGURES))
    rows = [
        tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells))
        for name, cells in told(found).items()
    ]
    return _figure(
        "Sharpness",
        f"Beside the data; {decibels(found)}",
        tag("table", head, *rows, class_="facts"),
        class_="wide",
    )


def _reconstructions(findings: Findings) -> Html:
    originals = _tiles(findings, findings.x[:PAIRS])
    copies = _tiles(findings, findings.reconstructions[:PAIRS])
    rows = [
        np.concatenate([originals[start : start + COLUMNS], copies[start : start + COLUMNS]])
        for start in range(0, len(originals), COLUMNS)
    ]
    sheets = [
        picture(
            spaced(pair, len(pair) // 2),
            f"{len(pair) // 2} held-out images and their reconstructions",
            class_="pixels",
        )
        for pair in rows
    ]
    return _figure(
        "Reconstructions",
        "Held-out images, and below each what the decoder makes of its z",
        *sheets,
    )


def _samples(findings: Findings) -> Html:
    tiles = _tiles(findings, findings.samples)
    alt = f"{len(tiles)} images decoded from draws of the prior"
    drawn = picture(spaced(tiles, COLUMNS), alt, class_="pixels")
    return _figure("Samples", "Decoded from draws of the prior", drawn, class_="tall")


def _extremes(findings: Findings) -> Html:
    order = np.argsort(findings.scores, kind="stable")
    return _figure(
        "Least and most likely",
        f"By the ELBO, among {len(findings.scores)} held-out images",
        _ranked(findings, order[:EXTREMES], "Least likely"),
        _ranked(findings, order[::-1][:EXTREMES], "Most likely"),
    )


def _ranked(findings: Findings, rows: NDArray[np.intp], name: str) -> Html:
    tiles = _tiles(findings, findings.x[rows])
    first, last = (label(float(findings.scores[row])) for row in (rows[0], rows[-1]))
    return join(
        tag("p", f"{name}: {first} to {last} nats", class_="note"),
        picture(spaced(tiles, len(tiles)), f"{name} held-out images", class_="pixels"),
    )


def _tiles(findings: Findings, x: Floats) -> Pixels:
    return small(x, findings.spec.input)


def _figure(title: str, what: str, *content: Html, class_: str | None = None) -> Html:
    caption = tag("figcaption", tag("h3", title), tag("p", what))
    return tag("figure", caption, *content, class_=class_)
