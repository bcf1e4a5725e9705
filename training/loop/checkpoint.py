"""A run's checkpoint: one safetensors file, replaced as a whole, nothing pickled.

Holds the weights, their average where there is one, the optimiser's state, the weights that the
bundle would get, and in the header how far the run is and what it is a run of. Random numbers need
no state (see seeds.py).
"""

import json
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeInt, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from training.errors import RunError
from training.loop.early_stopping import Patience
from training.loop.ema import Average
from training.system.distributed import ALONE, Group
from training.system.files import write_atomically
from vae.manifest import ModelSpec
from vae.networks import VAE

HEADER = "progress"
"""The one key of the header: with several their order, and so the file's bytes, would vary."""

WEIGHTS, AVERAGE, BEST, OPTIMISER = "weights.", "average.", "best.", "optimiser."

Weights = dict[str, Tensor]


class Progress(BaseModel):
    """What a checkpoint says of its run.

    ``data`` is the SHA-256 of the training rows. ``best_epoch`` is that of the weights that the
    bundle gets and ``best_objective`` its held-out objective, in nats; 0 while no epoch had a
    finite one. ``stopping`` and ``plateau`` follow that objective, ``drops`` counts how often
    the learning rate was lowered, and ``information`` follows the mutual information of x and z
    while training is aggressive.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: ModelSpec
    data: str
    epoch: NonNegativeInt = 0
    step: NonNegativeInt = 0
    best_epoch: NonNegativeInt = 0
    best_objective: FiniteFloat = 0.0
    stopping: Patience = Patience()
    plateau: Patience = Patience()
    information: Patience = Patience()
    drops: NonNegativeInt = 0


def save_checkpoint(
    path: Path,
    vae: VAE,
    optimiser: torch.optim.Optimizer,
    best: Weights,
    progress: Progress,
    average: Average | None = None,
) -> None:
    """Replace the checkpoint at ``path``. Raises OSError when it cannot be written."""
    tensors = {f"{WEIGHTS}{name}": tensor for name, tensor in vae.state_dict().items()}
    if average:
        tensors |= {f"{AVERAGE}{name}": part for name, part in average.vae.state_dict().items()}
    tensors |= {f"{BEST}{name}": tensor for name, tensor in best.items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"{OPTIMISER}{index}.{name}": tensor for name, tensor in state.items()}
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(on_cpu, {HEADER: progress.model_dump_json()}))


def read_progress(path: Path) -> Progress:
    """How far the run is. Raises RunError, naming the file, when it is damaged or missing."""
    return _read(path)[0]


def load_checkpoint(
    path: Path,
    vae: VAE,
    optimiser: torch.optim.Optimizer,
    average: Average | None = None,
    group: Group = ALONE,
) -> Weights:
    """Put weights, average and optimiser state where they were; return the best weights so far.

    The main process of ``group`` reads the file for all. Raises RunError, naming the file, when it
    is damaged, missing or of another model.
    """
    _, tensors = _read(path, group)
    _place(path, vae, _part(tensors, WEIGHTS))
    if average:
        _place(path, average.vae, _part(tensors, AVERAGE))
    parameters = [weight for group in optimiser.param_groups for weight in group["params"]]
    state: dict[int, Weights] = {}
    for name, tensor in _part(tensors, OPTIMISER).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = _laid_out_like(parameters[int(index)], tensor)
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    return _part(tensors, BEST)


def _laid_out_like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """A moment in its parameter's memory format: fused optimisers walk through both as they lie."""
    return tensor if tensor.dim() == 0 else torch.empty_like(parameter).copy_(tensor).detach()


def load_best(path: Path, group: Group = ALONE) -> tuple[VAE, Progress]:
    """The VAE with the weights that the bundle gets. Raises RunError like load_checkpoint."""
    progress, tensors = _read(path, group)
    vae = VAE(progress.spec)
    _place(path, vae, _part(tensors, BEST))
    return vae, progress


def _place(path: Path, vae: VAE, weights: Weights) -> None:
    try:
        vae.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise RunError(f"checkpoint {path} is of another model: {reason}") from None


def _part(tensors: Weights, prefix: str) -> Weights:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _read(path: Path, group: Group = ALONE) -> tuple[Progress, Weights]:
    try:
        content = group.broadcast(path.read_bytes() if group.main else b"")
        tensors = load(content)
        return Progress.model_validate_json(_metadata(content)[HEADER]), tensors
    except OSError as error:
        raise RunError(f"checkpoint {path} cannot be read: {error}") from None
    except (SafetensorError, KeyError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"checkpoint {path} is damaged: {reason}") from None


def _metadata(content: bytes) -> dict[str, str]:
    """The header's own entries: 8 bytes say its length, and it is JSON."""
    end = 8 + int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8:end]).get("__metadata__", {})
    return metadata
