"""``train``: from a config to a bundle."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from pydantic import Field
from rich.console import Console

from training.config.file import WithFile
from training.config.options import PLACES, TrainConfig, differences
from training.data.conditions import conditioned
from training.data.dataset import Dataset, TrainingSet
from training.data.prepare import load_data, training_rows
from training.data.row_source import Rows
from training.errors import ConfigError, RunError
from training.evaluation.evaluate import Evaluation, evaluated
from training.export.publish import publish, report_of
from training.export.quantize import check_quantizable
from training.loggers.console import reporter
from training.loggers.registry import load_loggers
from training.loop.checkpoint import Progress, read_progress
from training.loop.reporter import Reporter, Reporters
from training.loop.run_directory import Run, hold
from training.loop.train import train
from training.loop.trained_model import earlier, shared, trained
from training.model.build import build, fast, place_pseudo_inputs
from training.model.resolve import resolve
from training.model.spec import model_spec
from training.objectives.factory import objective
from training.system.device import open_device
from training.system.distributed import Group, join
from vae.manifest import ModelSpec
from vae.networks import VAE

SMALL_STEP = 20_000_000
"""Multiplications of weights and rows in a step, up to which one thread is enough."""


class TrainCommand(TrainConfig, WithFile):
    """Train a VAE, evaluate it on held-out rows and write a bundle."""

    resume: bool = Field(
        False, description="go on from the run's last checkpoint; from the start where none is"
    )


def run_train(command: TrainCommand, console: Console) -> None:
    """Data, training, evaluation, export: from a config to a bundle."""
    device = open_device(command.device)
    load_loggers(command.log)  # what is missing is said before any work
    with join(device) as group, _held(command, group) as run:
        console = _voice(console, group)
        data, held_out = load_data(command)
        config = resolve(_plain(command), data)
        check_group(config, group)
        spec = model_spec(config, data)
        if config.quantize:
            check_quantizable(spec)
        vae, rows = _first(run, config, spec, data, group)
        progress = _begin(run, config, Progress(spec=vae.spec, data=rows.fingerprint()), group)
        vae = vae.to(device)
        _use_cpu(config, vae)
        _announce(console, config, vae, data, progress)
        began = time.monotonic()
        unseen = conditioned(held_out, vae.spec).to(device)
        with _watch(console, run, config, data, held_out, progress, group) as watch:
            with flushing():
                train(vae, rows.to(device), unseen, config, run, progress, watch, group)
            seconds = time.monotonic() - began
            best, progress = trained(run, data, device, group)
            draws = config.importance_samples
            evaluation = evaluated(best, held_out, draws, config.seed, device, group)
            if group.main:
                bundle = publish(run, config, data, held_out, best, evaluation, progress.best_epoch)
                watch.published(evaluation, run.results())
        if group.main:
            _conclude(console, config, evaluation, bundle, seconds)


def _plain(command: TrainCommand) -> TrainConfig:
    """The part of the command that is stored with the run."""
    return TrainConfig(**{name: getattr(command, name) for name in TrainConfig.model_fields})


def _held(command: TrainCommand, group: Group) -> AbstractContextManager[Run]:
    """The run's directory, which the main process holds and the others only know by name."""
    if group.main:
        return hold(command.run, resume=command.resume)
    return nullcontext(Run(command.run))


def _voice(console: Console, group: Group) -> Console:
    """Where a process of the group prints: the main process speaks for all."""
    return console if group.main else Console(quiet=True)


def _first(
    run: Run, config: TrainConfig, spec: ModelSpec, data: TrainingSet, group: Group
) -> tuple[VAE, Rows]:
    """The VAE that training begins with, and the rows as that model is told of them."""
    if config.start_from:
        found = _found(run, config.start_from, spec) if group.main else None
        vae = fast(shared(found, group))
        return vae, training_rows(data, vae.spec)
    rows = training_rows(data, spec)
    return place_pseudo_inputs(build(spec, config.seed), rows, config.seed), rows


def _found(run: Run, start: Path, spec: ModelSpec) -> VAE:
    """The earlier model; once the run has a checkpoint, one like it, which that will fill."""
    if run.checkpoint.exists():
        return VAE(read_progress(run.checkpoint).spec)
    return earlier(start, spec)


def _begin(run: Run, config: TrainConfig, fresh: Progress, group: Group) -> Progress:
    """Begin the run or go on with it: how far it is, as the main process finds it.

    Raises RunError when the stored run is another one, or when a process has other rows.
    """
    group.require_same("rows of training data", fresh.data)
    if not group.main:
        return Progress.model_validate_json(group.broadcast(b""))
    run.check(config)
    progress = _resume(run, config, fresh)
    run.begin(config)
    group.broadcast(progress.model_dump_json().encode())
    return progress


def check_group(config: TrainConfig, group: Group) -> None:
    """Raise ConfigError or RunError when these processes cannot do one run together."""
    if config.variance == "optimal" and group.size > 1:
        raise ConfigError(
            f"variance: optimal is of a whole batch, which {group.size} processes share; "
            "take learned instead"
        )
    if config.cuda_graph and group.size > 1:
        raise ConfigError(f"cuda_graph: is for one process, not for {group.size}")
    if config.batch_size < group.size:
        raise ConfigError(
            f"batch_size: {config.batch_size} is too few rows for {group.size} processes"
        )
    if group.size > 1 and not objective(config, rows=1).of_rows:
        raise ConfigError(
            "objective: beta-tc, mmd, free_bits and capacity look at whole batches, of which each "
            f"of {group.size} processes sees a part; use one process"
        )
    main = TrainConfig.model_validate_json(group.broadcast(config.model_dump_json().encode()))
    if changed := differences(main, config, free=PLACES):
        raise RunError(
            f"process {group.rank} of {group.size} was started with other options than process 0: "
            + "; ".join(changed)
        )


def _resume(run: Run, config: TrainConfig, fresh: Progress) -> Progress:
    """How far the run is. Raises RunError when its checkpoint is not of this data and config."""
    if not run.checkpoint.exists():
        return fresh
    reached = read_progress(run.checkpoint)
    if reached.data != fresh.data:
        raise RunError(f"run {run.path} was begun on other rows than those of {config.data}")
    if reached.epoch > config.epochs:
        raise RunError(
            f"run {run.path} has trained {reached.epoch} epochs, which is more than {config.epochs}"
        )
    return reached


def _use_cpu(config: TrainConfig, vae: VAE) -> None:
    """Set how many threads torch has on the CPU.

    They wait for each other by spinning: a step of well under a millisecond gains nothing from a
    second one, and where other processes use the cores it can become many times slower.
    """
    weights = sum(parameter.numel() for parameter in vae.parameters())
    one_use = config.network == "mlp" and not config.causal_radius  # of each weight, for a row
    small = one_use and weights * config.batch_size <= SMALL_STEP
    if config.threads or small:
        torch.set_num_threads(config.threads or 1)


@contextmanager
def flushing() -> Iterator[None]:
    """Have this thread take numbers below 10⁻³⁸ for 0.

    Gradients that fade away, as of pixels that are black in every row, end among numbers so small
    that x86 computes with them many times slower.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _watch(
    console: Console,
    run: Run,
    config: TrainConfig,
    data: TrainingSet,
    held_out: Dataset,
    progress: Progress,
    group: Group,
) -> Reporter:
    """All that watches the run: nothing but the main process has anything to say."""
    if not group.main:
        return Reporter()
    reached = progress.epoch
    return Reporters(
        reporter(console, rows=len(data), epochs=config.epochs, reached=reached),
        report_of(run, config, data, held_out),
        *(
            logger(run, config, reached=reached, console=console)
            for logger in load_loggers(config.log)
        ),
    )


def _announce(
    console: Console, config: TrainConfig, vae: VAE, data: TrainingSet, progress: Progress
) -> None:
    weights = sum(parameter.numel() for parameter in vae.parameters())
    origin = f"from {config.start_from}" if config.start_from else "from the start"
    start = f"from epoch {progress.epoch + 1}" if progress.epoch else origin
    console.print(
        f"{config.name}: {len(data):,} rows of {data.input.shape}, {config.network} with "
        f"{weights:,} weights, {config.likelihood} likelihood; {config.epochs:,} epochs {start}",
        soft_wrap=True,
    )


def _conclude(
    console: Console, config: TrainConfig, evaluation: Evaluation, bundle: Path, seconds: float
) -> None:
    console.print(
        f"trained in {seconds:.1f} s; on {evaluation.rows:,} held-out rows: "
        f"ELBO {evaluation.elbo:.2f} nats, KL {evaluation.kl:.2f}, "
        f"{evaluation.active_units} of {evaluation.latents} latents active\n"
        f"bundle {bundle} · report {config.run / 'report.html'}\n"
        f"serve it: python -m service --models {config.models}",
        soft_wrap=True,
    )
