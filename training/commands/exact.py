"""``exact``: a linear run beside its optimum."""

from pathlib import Path

import torch
from pydantic import ConfigDict, Field
from rich.console import Console

from training.config.file import WithFile
from training.data.dataset import Dataset
from training.data.prepare import load_data
from training.errors import RunError
from training.evaluation import ppca_comparison as exact
from training.loop.run_directory import Run
from training.loop.trained_model import trained
from training.system.distributed import ALONE


class ExactCommand(WithFile):
    """Hold a linear run against probabilistic PCA, its optimum in closed form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Path = Field(description="directory of the run")


def run_exact(command: ExactCommand, console: Console) -> None:
    """Print what the run's linear model has reached beside what it could."""
    run = Run(command.run)
    config = run.config()
    data, held_out = load_data(config)
    vae, _ = trained(run, data, torch.device("cpu"), ALONE)
    if not isinstance(data, Dataset):
        raise RunError(f"run {run.path}: its rows are in shards; exact needs them in memory")
    console.print(exact.table(*exact.compare(vae, data.x, held_out.x, config.seed)))
