"""What the service and training are to reach, as ratios within one run.

A machine's speed goes into both sides of a ratio; where an aim is a number of requests, it is one
for every 19,000 that the fixed reply of W2 makes on the same core.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.compare import Comparison
from bench.contenders import FIXED, FIXED_TUNED, NAIVE, NAIVE_TUNED, OURS, SLOW_LANE

Measured = Mapping[str, Comparison]
UNIT: Final = 19_000


Others = Mapping[str, str]
"""Which server stands for the fixed reply, and which for the naive one."""

AS_THEY_COME: Final[Others] = {FIXED: FIXED, NAIVE: NAIVE}
TUNED: Final[Others] = {FIXED: FIXED_TUNED, NAIVE: NAIVE_TUNED}

Reached = Callable[[Measured, Others], float]


@dataclass(frozen=True)
class Aim:
    """``reached`` of a run is to be at least, or at most, ``bar``."""

    workload: str
    text: str
    bar: float
    reached: Reached
    needs: tuple[str, ...] = ()
    at_most: bool = False

    def applies(self, measured: Measured) -> bool:
        """Whether all that it needs was measured."""
        return {self.workload, *self.needs} <= measured.keys()

    def met(self, measured: Measured, others: Others) -> bool:
        """Whether the run reached it."""
        found = self.reached(measured, others)
        return found <= self.bar if self.at_most else found >= self.bar


def _over(workload: str, other: str, bar: float, server: str = OURS) -> Aim:
    def reached(measured: Measured, others: Others) -> float:
        servers = measured[workload].servers
        return servers[server].capacity / servers[others[other]].capacity

    return Aim(workload, f"{server} ≥ {bar:g} × {other}", bar, reached)


def _of_limit(workload: str, bar: float) -> Aim:
    def reached(measured: Measured, others: Others) -> float:
        comparison = measured[workload]
        return comparison.servers[OURS].capacity / comparison.limit(others[FIXED])

    return Aim(workload, f"{OURS} ≥ {bar:.0%} of the limit", bar, reached)


def _for_each_unit(workload: str, bar: float) -> Aim:
    def reached(measured: Measured, others: Others) -> float:
        unit = measured["W2"].servers[others[FIXED]].capacity / UNIT
        return measured[workload].servers[OURS].capacity / unit

    text = f"{OURS} ≥ {bar:g} for every {UNIT:,} of {FIXED} in W2"
    return Aim(workload, text, bar, reached, needs=("W2",))


def _latency_alone(workload: str, bar: float) -> Aim:
    def reached(measured: Measured, others: Others) -> float:
        comparison = measured[workload]
        model = comparison.model_seconds(comparison.workload.rows)
        return comparison.servers[OURS].p50 / (comparison.servers[others[FIXED]].p50 + model)

    text = f"p50 ≤ {bar:g} × (p50 of {FIXED} + one call of the model)"
    return Aim(workload, text, bar, reached, at_most=True)


AIMS: Final = (
    _latency_alone("W1", 1.3),
    _over("W2", FIXED, 0.95),
    _over("W2", FIXED, 0.28, SLOW_LANE),
    _over("W2", NAIVE, 6),
    _for_each_unit("W3", 300),
    _over("W3", NAIVE, 10),
    _over("W4", FIXED, 1.5),
    _over("W4", FIXED, 0.3, SLOW_LANE),
    _of_limit("W5", 0.85),
    _for_each_unit("W6", 500),
    _of_limit("W7", 0.9),
    _of_limit("W7b", 0.9),
)


@dataclass(frozen=True)
class Speeds:
    """Images a CPU second with so many rows a step: of training, also in bfloat16, and of its two
    yardsticks.
    """

    batch: int
    training: float
    bfloat16: float
    per_item: float
    products: float


@dataclass(frozen=True)
class TrainingAim:
    """``reached`` is to be at least ``bar``."""

    text: str
    bar: float
    reached: Callable[[Speeds], float]

    def met(self, speeds: Speeds) -> bool:
        """Whether the run reached it."""
        return self.reached(speeds) >= self.bar


TRAINING_AIMS: Final = (
    TrainingAim("40,000 images a CPU second", 40_000, lambda found: found.training),
    TrainingAim("3 × the DataLoader loop", 3, lambda found: found.training / found.per_item),
    TrainingAim("0.7 × the bare products", 0.7, lambda found: found.training / found.products),
)
