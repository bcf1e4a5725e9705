"""A run's checkpoint: one safetensors file, replaced as a whole. Nothing is pickled.

It holds the weights, their EMA if there is one, the optimiser's state and the best weights so far,
which the bundle gets. The header holds the progress of the run. Random generators have no state to
store (system/seeds.py).
"""

import json
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeInt, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from training.errors import RunError
from training.loop.early_stopping import EarlyStopping
from training.loop.ema import EMA
from training.system.distributed import SINGLE_PROCESS, ProcessGroup
from training.system.files import write_atomically
from vae.manifest import ModelSpec
from vae.networks import VAE

HEADER = "progress"
"""The only key of the header. The order of several keys would vary, and so would the bytes."""

WEIGHTS, EMA_WEIGHTS, BEST, OPTIMISER = "weights.", "ema.", "best.", "optimiser."

Weights = dict[str, Tensor]


class Progress(BaseModel):
    """The progress of a run, stored in its checkpoint.

    ``data`` is the SHA-256 of the training rows. ``best_epoch`` is the epoch of the best weights
    and ``best_objective`` their held-out objective in nats; both are 0 until an epoch has a finite
    one. ``early_stopping`` and ``plateau`` follow that objective, ``mutual_information`` follows
    the mutual information of x and z during aggressive training. ``learning_rate_drops`` counts how
    often a plateau lowered the learning rate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: ModelSpec
    data: str
    epoch: NonNegativeInt = 0
    step: NonNegativeInt = 0
    best_epoch: NonNegativeInt = 0
    best_objective: FiniteFloat = 0.0
    early_stopping: EarlyStopping = EarlyStopping()
    plateau: EarlyStopping = EarlyStopping()
    mutual_information: EarlyStopping = EarlyStopping()
    learning_rate_drops: NonNegativeInt = 0


def save_checkpoint(
    path: Path,
    vae: VAE,
    optimiser: torch.optim.Optimizer,
    best: Weights,
    progress: Progress,
    ema: EMA | None = None,
) -> None:
    """Replace the checkpoint at ``path``. Raises OSError if it cannot be written."""
    tensors = {f"{WEIGHTS}{name}": tensor for name, tensor in vae.state_dict().items()}
    if ema:
        tensors |= {f"{EMA_WEIGHTS}{name}": part for name, part in ema.vae.state_dict().items()}
    tensors |= {f"{BEST}{name}": tensor for name, tensor in best.items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"{OPTIMISER}{index}.{name}": tensor for name, tensor in state.items()}
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(on_cpu, {HEADER: progress.model_dump_json()}))


def read_progress(path: Path) -> Progress:
    """The progress of a run. Raises RunError with the file name if it is damaged or missing."""
    return _read(path)[0]


def load_checkpoint(
    path: Path,
    vae: VAE,
    optimiser: torch.optim.Optimizer,
    ema: EMA | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Weights:
    """Restore weights, EMA and optimiser state. Returns the best weights so far.

    The main process of ``group`` reads the file and broadcasts it. Raises RunError with the file
    name if it is damaged, missing or of another model.
    """
    _, tensors = _read(path, group)
    _load_weights(path, vae, _with_prefix(tensors, WEIGHTS))
    if ema:
        _load_weights(path, ema.vae, _with_prefix(tensors, EMA_WEIGHTS))
    parameters = [weight for group in optimiser.param_groups for weight in group["params"]]
    state: dict[int, Weights] = {}
    for name, tensor in _with_prefix(tensors, OPTIMISER).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = _in_layout_of(parameters[int(index)], tensor)
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    return _with_prefix(tensors, BEST)


def _in_layout_of(parameter: Tensor, tensor: Tensor) -> Tensor:
    """A moment in its parameter's memory format, as fused optimisers require."""
    return tensor if tensor.dim() == 0 else torch.empty_like(parameter).copy_(tensor).detach()


def load_best(path: Path, group: ProcessGroup = SINGLE_PROCESS) -> tuple[VAE, Progress]:
    """The VAE with its best weights. Raises RunError like ``load_checkpoint``."""
    progress, tensors = _read(path, group)
    vae = VAE(progress.spec)
    _load_weights(path, vae, _with_prefix(tensors, BEST))
    return vae, progress


def _load_weights(path: Path, vae: VAE, weights: Weights) -> None:
    try:
        vae.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise RunError(f"checkpoint {path} is of another model: {reason}") from None


def _with_prefix(tensors: Weights, prefix: str) -> Weights:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _read(path: Path, group: ProcessGroup = SINGLE_PROCESS) -> tuple[Progress, Weights]:
    try:
        content = group.broadcast(path.read_bytes() if group.is_main else b"")
        tensors = load(content)
        return Progress.model_validate_json(_metadata(content)[HEADER]), tensors
    except OSError as error:
        raise RunError(f"checkpoint {path} cannot be read: {error}") from None
    except (SafetensorError, KeyError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"checkpoint {path} is damaged: {reason}") from None


def _metadata(content: bytes) -> dict[str, str]:
    """The entries of the header. Its length is in the first 8 bytes, and it is JSON."""
    end = 8 + int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8:end]).get("__metadata__", {})
    return metadata
