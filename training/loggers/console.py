"""Progress of a run on the console: a bar on a terminal, a few plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from training.loop.metrics import EpochMetrics
from training.loop.reporter import Reporter

PLAIN_LINES = 20
"""Lines of a run where there is no terminal, whatever its length."""


REDRAW_SECONDS = 0.1


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
