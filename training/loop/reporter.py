"""What a person sees of a run: a bar on a terminal, a few plain lines anywhere else."""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from training.evaluation.evaluate import Evaluation
from vae.networks import VAE

PLAIN_LINES = 20
"""Lines of a run where there is no terminal, whatever its length."""

REDRAW_SECONDS = 0.1


@dataclass(frozen=True)
class EpochMetrics:
    """One line of ``metrics.jsonl``. Means in nats over the epoch's rows, or the held-out ones.

    ``loss`` is what the steps lowered and ``held_out_objective`` minus that of the held-out rows;
    ``beta`` and ``learning_rate`` are those of the epoch's last step.
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
        """The fields; what is not finite is None, for JSON has no such number."""
        return {
            name: value if math.isfinite(value) else None for name, value in asdict(self).items()
        }

    def __str__(self) -> str:
        return (
            f"ELBO {self.elbo:.2f}, held out {self.held_out_elbo:.2f} · KL {self.kl:.2f} · "
            f"{self.active_units} active · {self.images_per_second:,.0f} rows/s"
        )


class Reporter:
    """Told of a run while its block lasts; overrides what it wants to hear of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """The run ended, by the error if there is one."""

    def step(self, rows: int) -> None:
        """A step on so many rows was taken."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """An epoch ended, and its line is in ``metrics.jsonl``."""

    def checkpoint(self, vae: VAE) -> None:
        """The checkpoint was replaced; ``vae`` has the weights of the epoch before."""

    def published(self, evaluation: Evaluation, files: Sequence[Path]) -> None:
        """The run's model was evaluated and its bundle written; these are the run's files."""


class Reporters(Reporter):
    """Several as one. They begin in order and end in reverse."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:  # one that cannot begin ends those before it
            for each in self._reporters:
                opening.enter_context(each)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, traceback)

    def step(self, rows: int) -> None:
        for each in self._reporters:
            each.step(rows)

    def epoch(self, metrics: EpochMetrics) -> None:
        for each in self._reporters:
            each.epoch(metrics)

    def checkpoint(self, vae: VAE) -> None:
        for each in self._reporters:
            each.checkpoint(vae)

    def published(self, evaluation: Evaluation, files: Sequence[Path]) -> None:
        for each in self._reporters:
            each.published(evaluation, files)


def reporter(console: Console, *, rows: int, epochs: int, reached: int) -> Reporter:
    """The reporter that suits the console, for a run that has ``reached`` so many epochs."""
    if console.is_terminal:
        return TerminalReporter(console, rows * epochs, rows * reached)
    return PlainReporter(console, epochs)


class PlainReporter(Reporter):
    """A line for the first epoch, the last one and some evenly between."""

    def __init__(self, console: Console, epochs: int) -> None:
        self._console = console
        self._epochs = epochs
        self._every = -(-epochs // (PLAIN_LINES - 1))

    def epoch(self, metrics: EpochMetrics) -> None:
        """Print the line when it is due."""
        if metrics.epoch in (1, self._epochs) or metrics.epoch % self._every == 0:
            line = f"epoch {metrics.epoch}/{self._epochs} · {metrics}"
            self._console.print(line, soft_wrap=True)


class TerminalReporter(Reporter):
    """A bar over all rows of all epochs, with the last epoch's figures."""

    def __init__(self, console: Console, rows: int, reached: int) -> None:
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.percentage:3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
        )
        self._task = self._bar.add_task("training", total=rows, completed=reached, figures="")
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
        self._bar.update(self._task, description=f"epoch {metrics.epoch}", figures=str(metrics))
