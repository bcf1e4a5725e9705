"""A small histogram in SVG, of the data and optionally of samples."""

from collections.abc import Sequence

import numpy as np

from training.report.axes import Scale
from training.report.html import Html, tag
from training.report.model_outputs import Floats

BINS = 24


def histogram(
    data: Floats, alt: str, *, samples: Floats | None = None, width: int, height: int
) -> Html:
    """Draw the data as an area and the samples as a line, over their common range."""
    both = [data] if samples is None else [data, samples]
    edges = np.histogram_bin_edges(np.concatenate(both), bins=BINS)
    shares = [np.histogram(values, edges)[0] / len(values) for values in both]
    up = Scale(0.0, max(float(share.max()) for share in shares), height - 1, 2)
    outlines = [_outline([up(share) for share in each.tolist()], width, height) for each in shares]
    return tag(
        "svg",
        *(
            tag("path", d=outline, class_=class_)
            for outline, class_ in zip(outlines, ("area", "curve series-0"), strict=False)
        ),
        viewBox=f"0 0 {width} {height}",
        class_="histogram",
        role="img",
        aria_label=alt,
    )


def _outline(heights: Sequence[float], width: int, height: int) -> str:
    step = width / len(heights)
    tops = "".join(
        f"L{index * step:.1f} {y:.1f}L{(index + 1) * step:.1f} {y:.1f}"
        for index, y in enumerate(heights)
    )
    return f"M0 {height}{tops}L{width} {height}"
