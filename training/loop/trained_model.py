"""A run's model with the weights that its bundle gets, that of a bundle, and their figures."""

import json
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch

from training.data.dataset import TrainingSet
from training.data.prepare import training_rows
from training.errors import ConfigError, RunError
from training.evaluation.evaluate import Evaluation
from training.loop.checkpoint import Progress, load_best
from training.loop.run_directory import Run
from training.model.build import fast
from training.model.bundle import of_bundle
from training.system.distributed import ALONE, Group
from training.system.files import write_atomically
from vae.bundle import MANIFEST
from vae.manifest import ModelSpec
from vae.networks import VAE

OF_THE_DATA = frozenset({"preprocessing", "condition"})
"""Sections of a model that data alone decides; a model that is trained on keeps its own."""


def trained(
    run: Run, data: TrainingSet, device: torch.device, group: Group
) -> tuple[VAE, Progress]:
    """The model of a run on these very rows, on the device. Raises RunError when they are not."""
    vae, progress = of_run(run, group)
    if progress.data != training_rows(data, vae.spec).fingerprint():
        raise RunError(f"the data is not that of run {run.path}: its rows have changed")
    return fast(vae).to(device).eval(), progress


def of_run(run: Run, group: Group) -> tuple[VAE, Progress]:
    """The model of a run, whatever the data. Raises RunError when it has none."""
    vae, progress = load_best(run.checkpoint, group)
    if not progress.best_epoch:
        raise RunError(f"run {run.path}: no epoch ended with a finite held-out ELBO")
    return vae, progress


def earlier(path: Path, spec: ModelSpec) -> VAE:
    """The model of a run or of a version of a bundle, to train on as ``spec`` has it.

    Raises ConfigError when there is none or it is another model, and RunError or BundleError when
    it is damaged.
    """
    path = path.expanduser()
    if (path / MANIFEST).exists():
        vae = of_bundle(path)
    elif Run(path).checkpoint.exists():
        vae, _ = of_run(Run(path), ALONE)
    else:
        raise ConfigError(f"start_from: {path} is neither a run nor a version of a bundle")
    before, now = (each.model_dump(exclude=set(OF_THE_DATA)) for each in (vae.spec, spec))
    changed = [f"{name} {before[name]} → {now[name]}" for name in now if before[name] != now[name]]
    kinds = [each.condition and each.condition.kind for each in (vae.spec, spec)]
    if kinds[0] != kinds[1]:
        changed.append("condition {} → {}".format(*kinds))
    if changed:
        raise ConfigError(f"start_from: {path} is another model: " + "; ".join(changed))
    return vae


def shared(vae: VAE | None, group: Group) -> VAE:
    """The model that the main process has, in every process of the group."""
    spec, weights = b"", b""
    if vae is not None:
        spec, weights = (
            vae.spec.model_dump_json().encode(),
            safetensors.torch.save(vae.state_dict()),
        )
    copy = VAE(ModelSpec.model_validate_json(group.broadcast(spec)))
    copy.load_state_dict(safetensors.torch.load(group.broadcast(weights)))
    return copy


def store(run: Run, evaluation: Evaluation) -> None:
    """Write the figures to the run's ``evaluation.json``."""
    fields = {name: value for name, value in asdict(evaluation).items() if name != "scores"}
    write_atomically(run.path / "evaluation.json", json.dumps(fields, indent=2).encode())
