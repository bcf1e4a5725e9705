"""The model that a run has trained, with the weights that its bundle gets."""

import torch

from training.data.dataset import TrainingSet
from training.data.prepare import training_rows
from training.errors import RunError
from training.loop.checkpoint import Progress, load_best
from training.loop.run_directory import RunDirectory
from training.model.build import channels_last
from training.system.distributed import ProcessGroup
from vae.networks import VAE


def load_trained_model(
    run: RunDirectory, data: TrainingSet, device: torch.device, group: ProcessGroup
) -> tuple[VAE, Progress]:
    """The model of a run on ``device``, in evaluation mode.

    Raises RunError if it was not trained on the rows of ``data``.
    """
    vae, progress = load_run_model(run, group)
    if progress.data != training_rows(data, vae.spec).fingerprint():
        raise RunError(f"the data is not that of run {run.path}: its rows have changed")
    return channels_last(vae).to(device).eval(), progress


def load_run_model(run: RunDirectory, group: ProcessGroup) -> tuple[VAE, Progress]:
    """The model of a run, without a check of the data. Raises RunError if the run has none."""
    vae, progress = load_best(run.checkpoint, group)
    if not progress.best_epoch:
        raise RunError(f"run {run.path}: no epoch ended with a finite held-out ELBO")
    return vae, progress
