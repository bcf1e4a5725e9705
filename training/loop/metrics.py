"""The metrics of one epoch."""

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class EpochMetrics:
    """One line of ``metrics.jsonl``: means per row in nats, over the training or held-out rows.

    ``loss`` is the value that training minimises, ``held_out_objective`` is minus the loss on the
    held-out rows. ``beta`` and ``learning_rate`` are those of the epoch's last step.
    """

    epoch: int
    step: int
    elbo: float
    reconstruction: float
    kl: float
    loss: float
    beta: float
    learning_rate: float
    held_out_objective: float
    held_out_elbo: float
    active_units: int
    skipped: int
    images_per_second: float

    def as_json(self) -> dict[str, Any]:
        """The fields. A number that is not finite becomes None, because JSON has no such number."""
        return {
            name: value if math.isfinite(value) else None for name, value in asdict(self).items()
        }

    def __str__(self) -> str:
        return (
            f"ELBO {self.elbo:.2f}, held out {self.held_out_elbo:.2f} · KL {self.kl:.2f} · "
            f"{self.active_units} active · {self.images_per_second:,.0f} rows/s"
        )
