"""The interface of everything that follows a run: console, loggers and the HTML report."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from training.evaluation.evaluate import Evaluation
from training.loop.metrics import EpochMetrics
from vae.networks import VAE


class Reporter:
    """Receives the events of a run inside its ``with`` block. Subclasses override some."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """The run ended, with an error if there is one."""

    def step(self, rows: int) -> None:
        """A training step on ``rows`` rows ended."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """An epoch ended. Its line is already in ``metrics.jsonl``."""

    def checkpoint(self, vae: VAE) -> None:
        """The checkpoint was replaced. ``vae`` has the weights after the last epoch."""

    def published(self, evaluation: Evaluation, files: Sequence[Path]) -> None:
        """The model was evaluated and its bundle was written. ``files`` describe the run."""


class Reporters(Reporter):
    """Several reporters as one. They are entered in order and left in reverse order."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as entered:  # if one cannot be entered, leave those before it
            for reporter in self._reporters:
                entered.enter_context(reporter)
            self._open = entered.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, traceback)

    def step(self, rows: int) -> None:
        for reporter in self._reporters:
            reporter.step(rows)

    def epoch(self, metrics: EpochMetrics) -> None:
        for reporter in self._reporters:
            reporter.epoch(metrics)

    def checkpoint(self, vae: VAE) -> None:
        for reporter in self._reporters:
            reporter.checkpoint(vae)

    def published(self, evaluation: Evaluation, files: Sequence[Path]) -> None:
        for reporter in self._reporters:
            reporter.published(evaluation, files)
