"""Scales and ticks of a chart."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Maps values from ``low`` to ``high`` linearly to ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def span(values: Iterable[float], margin: float = 0.06) -> tuple[float, float]:
    """The range of the values with a margin on both sides; (0, 1) if there are none."""
    found = list(values)
    if not found:
        return 0.0, 1.0
    low, high = min(found), max(found)
    room = margin * (high - low) or abs(low) * margin or 1.0
    return low - room, high + room


def ticks(low: float, high: float, count: int = 4) -> Sequence[float]:
    """About ``count`` round values between low and high: steps of 1, 2 or 5 times a power of 10."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda factor: abs(factor * power - rough))
    first, last = math.ceil(low / step), math.floor(high / step)
    return [number * step for number in range(first, last + 1)]


def label(value: float) -> str:
    """A number as short text: ``−72.5``, ``0.002``, ``1,200``."""
    size = abs(value)
    if size != 0 and (size < 1e-3 or size >= 1e6):
        text = f"{value:.2g}"
    elif size >= 1000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.4g}"
    return text.replace("-", "−")
