"""Load the loggers that ``--log`` names. Each needs an optional package."""

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

from rich.console import Console

from training.config.train_config import TrainConfig
from training.config.types import LoggerName
from training.errors import ConfigError
from training.loop.reporter import Reporter
from training.loop.run_directory import RunDirectory

LOGGERS: dict[LoggerName, str] = {
    "tensorboard": "training.loggers.tensorboard:TensorBoardLogger",
    "mlflow": "training.loggers.mlflow:MlflowLogger",
}
"""The import string of each logger. Its package is an extra with the logger's name."""


class Logger(Protocol):
    """Creates the reporter that sends metrics to one tracking system.

    ``epochs_done`` is the number of epochs that a resumed run has already trained.
    """

    def __call__(
        self, run: RunDirectory, config: TrainConfig, *, epochs_done: int, console: Console
    ) -> Reporter: ...


def load_loggers(names: Sequence[LoggerName]) -> list[Logger]:
    """Import the loggers. Raises ConfigError, with the extra's name, if a package is missing."""
    return [_load(name) for name in names]


def _load(name: LoggerName) -> Logger:
    module, attribute = LOGGERS[name].split(":")
    try:
        logger: Logger = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"log: {name} needs the package {error.name}, which is not installed; "
            f"pip install 'vae-server[{name}]'"
        ) from None
    return logger
