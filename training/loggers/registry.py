"""From the names of ``--log`` to loggers, each with a package that is installed only if wanted."""

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

from rich.console import Console

from training.config.options import TrainConfig
from training.config.types import LoggerName
from training.errors import ConfigError
from training.loop.reporter import Reporter
from training.loop.run_directory import Run

LOGGERS: dict[LoggerName, str] = {
    "tensorboard": "training.loggers.tensorboard:TensorBoardLogger",
    "mlflow": "training.loggers.mlflow:MlflowLogger",
}
"""Where each is; the extra that installs what it imports has the logger's name."""


class Logger(Protocol):
    """Opens a reporter that sends to one place what it is told."""

    def __call__(
        self, run: Run, config: TrainConfig, *, reached: int, console: Console
    ) -> Reporter: ...


def load_loggers(names: Sequence[LoggerName]) -> list[Logger]:
    """The loggers, imported. Raises ConfigError, naming the extra, where a package is missing."""
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
