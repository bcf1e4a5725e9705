"""``train``: train a VAE, evaluate it and write a bundle."""

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from pydantic import Field
from rich.console import Console

from training.config.file import WithConfigFile
from training.config.train_config import TrainConfig
from training.data.conditions import with_conditions
from training.data.dataset import Dataset, TrainingSet
from training.data.prepare import load_data
from training.evaluation.evaluate import Evaluation, evaluate_dataset
from training.export.publish import make_report_writer, publish
from training.export.quantize import check_quantizable
from training.loggers.console import console_reporter
from training.loggers.registry import load_loggers
from training.loop.checkpoint import Progress
from training.loop.reporter import Reporter, Reporters
from training.loop.run_directory import RunDirectory, lock_run_directory
from training.loop.start import check_group, start_run
from training.loop.train import train
from training.loop.trained_model import load_trained_model
from training.model.resolve import resolve
from training.model.spec import model_spec
from training.system.cpu import flush_denormals, set_threads
from training.system.device import open_device
from training.system.distributed import ProcessGroup, join_process_group
from vae.networks import VAE


class TrainCommand(TrainConfig, WithConfigFile):
    """Train a VAE, evaluate it on held-out rows and write a bundle."""

    resume: bool = Field(
        False, description="continue from the run's last checkpoint, or start if there is none"
    )


def run_train(command: TrainCommand, console: Console) -> None:
    """Load the data, train, evaluate, and write a bundle."""
    device = open_device(command.device)
    load_loggers(command.log)  # fail before training if a package is missing
    with join_process_group(device) as group, _open_run(command, group) as run:
        console = console if group.is_main else Console(quiet=True)
        data, held_out = load_data(command)
        config = resolve(_train_config(command), data)
        check_group(config, group)
        spec = model_spec(config, data)
        if config.quantize:
            check_quantizable(spec)
        start = start_run(run, config, spec, data, group)
        vae, progress = start.vae.to(device), start.progress
        set_threads(config.threads, multiply_adds=_multiply_adds(config, vae))
        _print_start(console, config, vae, data, progress)
        began = time.monotonic()
        validation_rows = with_conditions(held_out, vae.spec).to(device)
        with _open_reporters(console, run, config, data, held_out, progress, group) as reporters:
            rows = start.rows.to(device)
            with flush_denormals():
                train(vae, rows, validation_rows, config, run, progress, reporters, group)
            seconds = time.monotonic() - began
            best, progress = load_trained_model(run, data, device, group)
            samples = config.importance_samples
            evaluation = evaluate_dataset(best, held_out, samples, config.seed, device, group)
            if group.is_main:
                bundle = publish(run, config, data, held_out, best, evaluation, progress.best_epoch)
                reporters.published(evaluation, run.result_files())
        if group.is_main:
            _print_end(console, config, evaluation, bundle, seconds)


def _train_config(command: TrainCommand) -> TrainConfig:
    """The part of the command that is stored with the run."""
    return TrainConfig(**{name: getattr(command, name) for name in TrainConfig.model_fields})


def _open_run(command: TrainCommand, group: ProcessGroup) -> AbstractContextManager[RunDirectory]:
    """The run directory. Only the main process locks it and writes to it."""
    if group.is_main:
        return lock_run_directory(command.run, resume=command.resume)
    return nullcontext(RunDirectory(command.run))


def _multiply_adds(config: TrainConfig, vae: VAE) -> int | None:
    """Those of a step, if a row uses each weight once: not in convolutions."""
    if config.network != "mlp" or config.causal_radius:
        return None
    return _count_weights(vae) * config.batch_size


def _count_weights(vae: VAE) -> int:
    return sum(parameter.numel() for parameter in vae.parameters())


def _open_reporters(
    console: Console,
    run: RunDirectory,
    config: TrainConfig,
    data: TrainingSet,
    held_out: Dataset,
    progress: Progress,
    group: ProcessGroup,
) -> Reporter:
    """Console, HTML report and loggers; none in processes other than the main one."""
    if not group.is_main:
        return Reporter()
    done = progress.epoch
    return Reporters(
        console_reporter(console, rows=len(data), epochs=config.epochs, epochs_done=done),
        make_report_writer(run, config, data, held_out),
        *(
            logger(run, config, epochs_done=done, console=console)
            for logger in load_loggers(config.log)
        ),
    )


def _print_start(
    console: Console, config: TrainConfig, vae: VAE, data: TrainingSet, progress: Progress
) -> None:
    start = f", weights of {config.start_from}" if config.start_from else ""
    if progress.epoch:
        start = f", resumed at epoch {progress.epoch + 1}"
    console.print(
        f"{config.name}: {len(data):,} training rows of shape {data.input.shape}, "
        f"{config.network} network with {_count_weights(vae):,} weights, "
        f"{config.likelihood} likelihood, {config.epochs:,} epochs{start}",
        soft_wrap=True,
    )


def _print_end(
    console: Console, config: TrainConfig, evaluation: Evaluation, bundle: Path, seconds: float
) -> None:
    console.print(
        f"Training took {seconds:.1f} s. On {evaluation.rows:,} held-out rows: "
        f"ELBO {evaluation.elbo:.2f} nats, KL {evaluation.kl:.2f} nats, "
        f"{evaluation.active_units} of {evaluation.latents} latents active.\n"
        f"Bundle: {bundle}\n"
        f"Report: {config.run / 'report.html'}\n"
        f"To serve it: python -m service --models {config.models}",
        soft_wrap=True,
    )
