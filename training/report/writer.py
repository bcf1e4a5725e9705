"""Keeps ``report.html`` of a run up to date while it goes on, and writes the last one."""

import time

from training.config.options import TrainConfig
from training.data.dataset import Dataset
from training.evaluation.evaluate import Evaluation
from training.evaluation.sharpness import Sharpness
from training.loop.reporter import Reporter
from training.loop.run_directory import Run
from training.report.environment import environment
from training.report.model_outputs import look
from training.report.page import Story, page
from training.system.files import write_atomically
from vae.networks import VAE

NAME = "report.html"

PATIENCE = 30
"""A report is written when training has gone on for so many times as long as the last one took."""


class ReportWriter(Reporter):
    """Writes the report after a checkpoint, as often as costs training at most 1/PATIENCE."""

    def __init__(self, run: Run, config: TrainConfig, *, rows: int, held_out: Dataset) -> None:
        self._run = run
        self._config = config
        self._rows = rows
        self._held_out = held_out
        self._environment = environment(config)
        self._due = 0.0

    def checkpoint(self, vae: VAE) -> None:
        """The weights as they are now, when a report is due."""
        if (began := time.monotonic()) < self._due:
            return
        history = self._run.history()
        self.write(vae, epoch=history[-1]["epoch"])
        ended = time.monotonic()
        self._due = ended + PATIENCE * (ended - began)

    def write(
        self,
        vae: VAE,
        *,
        epoch: int,
        evaluation: Evaluation | None = None,
        sharpness: Sharpness | None = None,
    ) -> None:
        """Replace the report by one of these weights, those after ``epoch``.

        It stays as it is when the model's answers are not finite, or there is no epoch to tell of.
        """
        findings = look(vae, self._held_out, self._config.seed)
        history = self._run.history()
        if findings is None or not history:
            return
        story = Story(
            config=self._config,
            findings=findings,
            history=history,
            epoch=epoch,
            rows=self._rows,
            environment=self._environment,
            evaluation=evaluation,
            sharpness=sharpness,
        )
        write_atomically(self._run.path / NAME, page(story).encode())
