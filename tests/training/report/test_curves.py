"""The curves: a history of any length, with gaps, is drawn and can be read back."""

import json
import re
from typing import Any

import pytest

from training.report.curves import BOTTOM, POINTS, TOP, curves, subsample


def history(epochs: int) -> list[dict[str, Any]]:
    return [
        {"epoch": epoch, "elbo": -100.0 / epoch, "held_out_elbo": None, "kl": 1.0, "beta": 1.0}
        for epoch in range(1, epochs + 1)
    ]


@pytest.mark.parametrize("epochs", [1, 2, 30, POINTS + 1, 5 * POINTS + 3])
def test_runs_of_any_length_are_drawn_with_their_first_and_last_epoch(epochs: int) -> None:
    drawn = curves(history(epochs))
    data = json.loads(re.search(r'id="history">(.*?)</script>', drawn)[1])  # type: ignore[index]
    assert data["epoch"][0] == 1
    assert data["epoch"][-1] == epochs
    assert len(data["epoch"]) <= POINTS + 1
    assert data["elbo"] == [pytest.approx(-100.0 / epoch) for epoch in data["epoch"]]
    assert "nan" not in drawn
    assert "inf" not in drawn.replace("info", "")


def test_only_what_was_measured_has_a_chart() -> None:
    drawn = curves(history(3))
    assert re.findall(r"<h3>(.*?)<", drawn) == ["ELBO", "KL", "β"]
    assert "held out" not in drawn


def test_a_missing_number_is_a_gap_in_the_curve() -> None:
    lines = history(9)
    lines[4]["kl"] = None
    drawn = curves(lines)
    paths = re.findall(r'<path d="([^"]*)" class="curve', drawn)
    assert [path.count("M") for path in paths] == [1, 2, 1]


def test_the_steep_start_is_left_out_of_the_scale() -> None:
    lines = history(100)
    lines[0]["elbo"] = -1e9
    path = re.search(r'<path d="([^"]*)" class="curve', curves(lines))[1]  # type: ignore[index]
    heights = [float(point.split()[1]) for point in path[1:].split("L")]
    assert heights[0] > BOTTOM  # below the plot, which cuts it off
    assert max(heights[5:]) - min(heights[5:]) > (BOTTOM - TOP) / 2


def test_thinning_keeps_the_last_line() -> None:
    assert [line["epoch"] for line in subsample(history(3))] == [1, 2, 3]
    kept = subsample(history(POINTS * 2))
    assert kept[-1]["epoch"] == POINTS * 2
