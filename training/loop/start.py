"""Start or resume a run, with the same options, rows, weights and progress in every process.

The main process decides and broadcasts its decision once. All other processes compare their options
and rows with it.
"""

from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from pydantic import BaseModel, ConfigDict

from training.config.train_config import PROCESS_SPECIFIC, TrainConfig, changed_options
from training.data.dataset import TrainingSet
from training.data.prepare import training_rows
from training.data.row_source import RowSource
from training.errors import ConfigError, RunError
from training.loop.checkpoint import Progress, read_progress
from training.loop.run_directory import RunDirectory
from training.loop.trained_model import load_run_model
from training.model.build import build_vae, channels_last, initialise_pseudo_inputs
from training.model.bundle import load_bundle_model
from training.objectives.factory import make_objective
from training.system.distributed import SINGLE_PROCESS, ProcessGroup
from vae.bundle import MANIFEST
from vae.manifest import ModelSpec
from vae.networks import VAE

DECIDED_BY_DATA = {"preprocessing", "condition"}
"""Sections of a ModelSpec that the data alone decides. With start_from the earlier model's stay."""


@dataclass(frozen=True, eq=False)
class RunStart:
    """What training starts with. If the run is resumed, its checkpoint replaces the weights."""

    vae: VAE
    rows: RowSource
    progress: Progress


class StartMessage(BaseModel):
    """What the main process broadcasts. ``weights`` is a safetensors file if start_from is given,
    else None: every process initialises the same weights from the seed.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    config: TrainConfig
    progress: Progress
    weights: bytes | None


def check_group(config: TrainConfig, group: ProcessGroup) -> None:
    """Raise ConfigError for options that several processes cannot train with."""
    if group.size == 1:
        return
    if config.variance == "optimal":
        raise ConfigError(
            f"variance: optimal is computed from a whole batch, but each of {group.size} processes "
            "has only a slice; use learned"
        )
    if config.cuda_graph:
        raise ConfigError(f"cuda_graph: works with one process, not with {group.size}")
    if config.batch_size < group.size:
        raise ConfigError(
            f"batch_size: {config.batch_size} is too few rows for {group.size} processes"
        )
    if not make_objective(config, 1).averages_rows:
        raise ConfigError(
            "objective: beta-tc, mmd, free_bits and capacity need whole batches, but each of "
            f"{group.size} processes has only a slice; use one process"
        )


def start_run(
    run: RunDirectory,
    config: TrainConfig,
    spec: ModelSpec,
    data: TrainingSet,
    group: ProcessGroup,
) -> RunStart:
    """Start the run, or resume it from its checkpoint.

    ``spec`` is the model for ``data``; with start_from the earlier model's spec replaces it. Raises
    ConfigError if start_from is no model or another one, and RunError if the run directory holds
    another run or if a process has other options or rows than the main process.
    """
    if group.is_main:
        start = _start_in_main(run, config, spec, data)
        if group.size > 1:
            group.broadcast(_message(config, start))
        return start
    message = StartMessage.model_validate_json(group.broadcast(b""))
    if changed := changed_options(message.config, config, free=PROCESS_SPECIFIC):
        raise RunError(
            f"process {group.rank} of {group.size} has other options than process 0: "
            + "; ".join(changed)
        )
    spec, rows = message.progress.spec, training_rows(data, message.progress.spec)
    if (found := rows.fingerprint()) != message.progress.data:
        raise RunError(
            f"process {group.rank} of {group.size} has other training rows than process 0: "
            f"SHA-256 {found} is not {message.progress.data}"
        )
    if message.weights is None:
        return RunStart(_initial_vae(config, spec, rows), rows, message.progress)
    vae = VAE(spec)
    vae.load_state_dict(safetensors.torch.load(message.weights))
    return RunStart(channels_last(vae), rows, message.progress)


def _start_in_main(
    run: RunDirectory, config: TrainConfig, spec: ModelSpec, data: TrainingSet
) -> RunStart:
    if config.start_from:
        vae = channels_last(_start_from(run, config.start_from, spec))
        rows = training_rows(data, vae.spec)
    else:
        rows = training_rows(data, spec)
        vae = _initial_vae(config, spec, rows)
    run.check_config(config)
    fresh = Progress(spec=vae.spec, data=rows.fingerprint())
    progress = _reached_progress(run, config, fresh)
    run.store_config(config)
    return RunStart(vae, rows, progress)


def _message(config: TrainConfig, start: RunStart) -> bytes:
    weights = safetensors.torch.save(start.vae.state_dict()) if config.start_from else None
    message = StartMessage(config=config, progress=start.progress, weights=weights)
    return message.model_dump_json().encode()


def _initial_vae(config: TrainConfig, spec: ModelSpec, rows: RowSource) -> VAE:
    return initialise_pseudo_inputs(build_vae(spec, config.seed), rows, config.seed)


def _start_from(run: RunDirectory, path: Path, spec: ModelSpec) -> VAE:
    """The earlier model. A run with a checkpoint does not need its weights, and it may be gone."""
    if run.checkpoint.exists():
        return VAE(read_progress(run.checkpoint).spec)
    return load_start_model(path, spec)


def load_start_model(path: Path, spec: ModelSpec) -> VAE:
    """The model of a run or of a version of a bundle, as the start of training ``spec``.

    Raises ConfigError if there is none or if it differs from ``spec``, and RunError or BundleError
    if it is damaged.
    """
    path = path.expanduser()
    if (path / MANIFEST).exists():
        vae = load_bundle_model(path)
    elif RunDirectory(path).checkpoint.exists():
        vae, _ = load_run_model(RunDirectory(path), SINGLE_PROCESS)
    else:
        raise ConfigError(f"start_from: {path} is neither a run nor a version of a bundle")
    if changed := _differences(vae.spec, spec):
        raise ConfigError(f"start_from: {path} is another model: " + "; ".join(changed))
    return vae


def _differences(earlier: ModelSpec, spec: ModelSpec) -> list[str]:
    """What differs between two models, for example ``latent_dim 2 → 3``."""
    before, now = (each.model_dump(exclude=DECIDED_BY_DATA) for each in (earlier, spec))
    changed = [f"{name} {before[name]} → {now[name]}" for name in now if before[name] != now[name]]
    kinds = [each.condition and each.condition.kind for each in (earlier, spec)]
    if kinds[0] != kinds[1]:
        changed.append("condition {} → {}".format(*kinds))
    return changed


def _reached_progress(run: RunDirectory, config: TrainConfig, fresh: Progress) -> Progress:
    """The progress of the checkpoint, or ``fresh`` if there is none.

    Raises RunError if the checkpoint is of other rows or has more epochs than ``config``.
    """
    if not run.checkpoint.exists():
        return fresh
    reached = read_progress(run.checkpoint)
    if reached.data != fresh.data:
        raise RunError(f"run {run.path} was trained on other rows than those of {config.data}")
    if reached.epoch > config.epochs:
        raise RunError(
            f"run {run.path} has already trained {reached.epoch} epochs, more than {config.epochs}"
        )
    return reached
