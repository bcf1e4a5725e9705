"""``exact``: compare a linear VAE with its optimum in closed form."""

from pathlib import Path

import torch
from pydantic import ConfigDict, Field
from rich.console import Console

from training.config.file import WithConfigFile
from training.data.dataset import Dataset
from training.data.prepare import load_data
from training.errors import RunError
from training.evaluation.ppca_comparison import compare_with_ppca, comparison_table
from training.loop.run_directory import RunDirectory
from training.loop.trained_model import load_trained_model
from training.system.distributed import SINGLE_PROCESS


class ExactCommand(WithConfigFile):
    """Compare the linear model of a run with probabilistic PCA, its optimum in closed form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Path = Field(description="directory of the run")


def run_exact(command: ExactCommand, console: Console) -> None:
    """Print the trained model and the optimum side by side."""
    run = RunDirectory(command.run)
    config = run.config()
    data, held_out = load_data(config)
    vae, _ = load_trained_model(run, data, torch.device("cpu"), SINGLE_PROCESS)
    if not isinstance(data, Dataset):
        raise RunError(f"run {run.path}: exact needs the rows in memory, but they are in shards")
    console.print(comparison_table(*compare_with_ppca(vae, data.x, held_out.x, config.seed)))
