"""What a logger sends of an epoch."""

import math
from dataclasses import asdict

from training.loop.metrics import EpochMetrics


def numbers(metrics: EpochMetrics) -> dict[str, float]:
    """The finite numbers by name; the epoch is not one of them, but where they stand."""
    fields = asdict(metrics)
    del fields["epoch"]
    return {name: float(value) for name, value in fields.items() if math.isfinite(value)}
