"""The numbers of an epoch that loggers send."""

import math
from dataclasses import asdict

from training.loop.metrics import EpochMetrics


def numbers(metrics: EpochMetrics) -> dict[str, float]:
    """The finite metrics by name, without the epoch, which is their position."""
    fields = asdict(metrics)
    del fields["epoch"]
    return {name: float(value) for name, value in fields.items() if math.isfinite(value)}
