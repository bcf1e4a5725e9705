"""What a person sees of a run: a bar on a terminal, a few plain lines anywhere else."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from training.evaluation.evaluate import Evaluation
from training.loop.metrics import EpochMetrics
from vae.networks import VAE


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
