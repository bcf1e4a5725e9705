"""What a person sees of a run: a bar on a terminal, a few plain lines anywhere else."""

import math
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

PLAIN_LINES = 20
"""Lines of a run where there is no terminal, whatever its length."""

REDRAW_SECONDS = 0.1


@dataclass(frozen=True)
class EpochMetrics:
    """One line of ``metrics.jsonl``. Means in nats over the epoch's rows, or the held-out ones."""

    epoch: int
    step: int
    elbo: float
    reconstruction: float
    kl: float
    beta: float
    held_out_elbo: float
    active_units: int
    skipped: int
    images_per_second: float

    def as_json(self) -> dict[str, Any]:
        """The fields; what is not finite is None, for JSON has no such number."""
        return {
            name: value if math.isfinite(value) else None for name, value in asdict(self).items()
        }

    def __str__(self) -> str:
        return (
            f"ELBO {self.elbo:.2f} · KL {self.kl:.2f} · held-out ELBO {self.held_out_elbo:.2f} · "
            f"{self.images_per_second:,.0f} rows/s"
        )


class Reporter(AbstractContextManager["Reporter"], Protocol):
    """Told of each step and each epoch while its block lasts."""

    def step(self, rows: int) -> None:
        """A step on so many rows was taken."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """An epoch ended."""


def reporter(console: Console, *, rows: int, epochs: int, reached: int) -> Reporter:
    """The reporter that suits the console, for a run that has ``reached`` so many epochs."""
    if console.is_terminal:
        return TerminalReporter(console, rows * epochs, rows * reached)
    return PlainReporter(console, epochs)


class PlainReporter:
    """A line for the first epoch, the last one and some evenly between."""

    def __init__(self, console: Console, epochs: int) -> None:
        self._console = console
        self._epochs = epochs
        self._every = -(-epochs // (PLAIN_LINES - 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def step(self, rows: int) -> None:
        """Steps are not shown."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """Print the line when it is due."""
        if metrics.epoch in (1, self._epochs) or metrics.epoch % self._every == 0:
            self._console.print(f"epoch {metrics.epoch}/{self._epochs} · {metrics}")


class TerminalReporter:
    """A bar over all rows of all epochs, with the last epoch's figures."""

    def __init__(self, console: Console, rows: int, reached: int) -> None:
        self._bar = Bar(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
        )
        self._task = self._bar.add_task("", total=rows, completed=reached, figures="")
        self._pending = 0
        self._drawn = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.advance(self._task, self._pending)
        self._bar.stop()

    def step(self, rows: int) -> None:
        """Move the bar, a few times a second."""
        self._pending += rows
        if (now := time.monotonic()) - self._drawn >= REDRAW_SECONDS:
            self._bar.advance(self._task, self._pending)
            self._pending, self._drawn = 0, now

    def epoch(self, metrics: EpochMetrics) -> None:
        """Show the epoch's figures beside the bar."""
        self._bar.update(self._task, figures=str(metrics))
