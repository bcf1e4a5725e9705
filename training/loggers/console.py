"""The progress of a run on the console: a bar on a terminal, a few plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from training.loop.metrics import EpochMetrics
from training.loop.reporter import Reporter

PLAIN_LINES = 20
"""Lines per run if the console is no terminal."""


REDRAW_SECONDS = 0.1


def console_reporter(console: Console, *, rows: int, epochs: int, epochs_done: int) -> Reporter:
    """The reporter for this console, for a run that has already trained ``epochs_done`` epochs."""
    if console.is_terminal:
        return TerminalReporter(console, rows * epochs, rows * epochs_done)
    return PlainReporter(console, epochs)


class PlainReporter(Reporter):
    """A line for the first epoch, the last one, and some at regular intervals."""

    def __init__(self, console: Console, epochs: int) -> None:
        self._console = console
        self._epochs = epochs
        self._repeat_rows = -(-epochs // (PLAIN_LINES - 1))

    def epoch(self, metrics: EpochMetrics) -> None:
        """Print the line if it is due."""
        if metrics.epoch in (1, self._epochs) or metrics.epoch % self._repeat_rows == 0:
            line = f"epoch {metrics.epoch}/{self._epochs} · {metrics}"
            self._console.print(line, soft_wrap=True)


class TerminalReporter(Reporter):
    """A bar over all rows of all epochs, with the metrics of the last epoch."""

    def __init__(self, console: Console, rows: int, rows_done: int) -> None:
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.percentage:3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=console,
        )
        self._task = self._bar.add_task("training", total=rows, completed=rows_done, metrics="")
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
        """Show the metrics of the epoch beside the bar."""
        self._bar.update(self._task, description=f"epoch {metrics.epoch}", metrics=str(metrics))
