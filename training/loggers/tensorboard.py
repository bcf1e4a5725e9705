"""Log a run to TensorBoard: ``tensorboard --logdir runs`` shows all runs."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from training.config.train_config import TrainConfig
from training.evaluation.evaluate import Evaluation
from training.loggers.numbers import numbers
from training.loop.metrics import EpochMetrics
from training.loop.reporter import Reporter
from training.loop.run_directory import RunDirectory

FOLDER = "tensorboard"


class TensorBoardLogger(Reporter):
    """Scalars by epoch; at the end options, final metrics, images and the model card.

    Events of epochs after ``epochs_done``, which a resumed run makes again, are dropped by
    TensorBoard.
    """

    def __init__(
        self, run: RunDirectory, config: TrainConfig, *, epochs_done: int, console: Console
    ) -> None:
        self._writer = SummaryWriter(run.path / FOLDER, purge_step=epochs_done + 1)
        self._config = config
        self._epoch = epochs_done
        console.print(f"TensorBoard: tensorboard --logdir {run.path.parent}", soft_wrap=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()

    def epoch(self, metrics: EpochMetrics) -> None:
        """Log each metric by name."""
        self._epoch = metrics.epoch
        for name, value in numbers(metrics).items():
            self._writer.add_scalar(name, value, metrics.epoch)

    def published(self, evaluation: Evaluation, files: Sequence[Path]) -> None:
        """Log the options with the final metrics, and the files that TensorBoard can show."""
        metrics = {f"final/{name}": value for name, value in evaluation.metrics().items()}
        options = {
            name: value if isinstance(value, int | float | str) else str(value)
            for name, value in self._config.model_dump(mode="json").items()
        }
        events = self._writer._get_file_writer()  # type: ignore[no-untyped-call]
        for summary in hparams(options, metrics):  # type: ignore[no-untyped-call]
            events.add_summary(summary)
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, self._epoch)
        for path in files:
            self._show(path)

    def _show(self, path: Path) -> None:
        if path.suffix == ".png":
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            self._writer.add_image(path.stem, pixels, self._epoch, dataformats="HWC")
        elif path.suffix == ".md":
            self._writer.add_text(path.stem, path.read_text("utf-8"), self._epoch)
