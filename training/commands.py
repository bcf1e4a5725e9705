"""The commands, each a straight line through the package."""

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import safetensors.torch
import torch
from rich.console import Console
from rich.table import Table

from training import exact, pictures, sharpness
from training.build import build, fast, model_spec, objective, place_pseudo_inputs
from training.card import card
from training.checkpoint import Progress, load_best, read_progress
from training.config import (
    PLACES,
    EvaluateCommand,
    ExactCommand,
    ExportCommand,
    TrainCommand,
    TrainConfig,
    differences,
    resolve,
)
from training.data.binarise import binarised
from training.data.conditions import conditioned, conditions
from training.data.dataset import Dataset, TrainingSet, split
from training.data.load import load
from training.data.rows import Rows
from training.data.sharded import Sharded
from training.devices import open_device
from training.errors import ConfigError, RunError
from training.evaluate import Evaluation, evaluate
from training.export import calibration, export, versions
from training.files import write_atomically
from training.group import ALONE, Group, join
from training.loggers.load import load_loggers
from training.precision import allow_tf32
from training.progress import Reporter, Reporters, reporter
from training.quantize import calibration_rows, check_quantizable, quantize
from training.report.writer import ReportWriter
from training.run import Run, hold
from training.train import train
from vae.bundle import open_bundle, write_bundle
from vae.manifest import FileName, ModelSpec, Vector
from vae.networks import VAE

SMALL_STEP = 20_000_000
"""Multiplications of weights and rows in a step, up to which one thread is enough."""

PICTURE_COLUMNS = 12
"""Pictures of a kind that ``evaluate --picture`` puts side by side."""


def run_train(command: TrainCommand, console: Console) -> None:
    """Data, training, evaluation, export: from a config to a bundle."""
    device = open_device(command.device)
    allow_tf32(command.precision)
    load_loggers(command.log)  # what is missing is said before any work
    with join(device) as group, _held(command, group) as run:
        console = _voice(console, group)
        data, held_out = _data(command)
        config = resolve(_plain(command), data)
        spec = model_spec(config, data)
        if config.quantize:
            check_quantizable(spec)
        rows = _rows(data, spec)
        progress = _begin(run, config, Progress(spec=spec, data=rows.fingerprint()), group)
        vae = place_pseudo_inputs(build(spec, config.seed), rows, config.seed).to(device)
        _use_cpu(config, vae)
        _announce(console, config, vae, data, progress)
        began = time.monotonic()
        unseen = conditioned(held_out, spec).to(device)
        with _watch(console, run, config, data, held_out, progress, group) as watch:
            with flushing():
                train(vae, rows.to(device), unseen, config, run, progress, watch, group)
            seconds = time.monotonic() - began
            best, progress = _trained(run, data, device, group)
            draws = config.importance_samples
            evaluation = _evaluate(best, held_out, draws, config.seed, device, group)
            if group.main:
                bundle = _publish(
                    run, config, data, held_out, best, evaluation, progress.best_epoch
                )
                watch.published(evaluation, run.results())
        if group.main:
            _conclude(console, config, evaluation, bundle, seconds)


def run_evaluate(command: EvaluateCommand, console: Console) -> None:
    """Print the figures of a run's checkpoint or of a bundle.

    Those of a run on its own held-out rows are stored as its ``evaluation.json``.
    """
    device = open_device(command.device)
    with join(device) as group:
        vae, rows, seed = _subject(command, device, group)
        _check_picture(command, vae.spec)
        evaluation = _evaluate(vae, rows, command.samples, seed, device, group)
        if group.main:
            if command.run and not command.data:
                _store(Run(command.run), evaluation)
            console.print(table(evaluation))
            if gallery := sharpness.look(vae, rows, seed):
                _show_pictures(command, gallery, console)


def run_export(command: ExportCommand, console: Console) -> None:
    """Write the run's checkpoint as the next version of its bundle."""
    device = open_device(command.device)
    with join(device) as group:
        run = Run(command.run)
        config = run.config()
        given = {"models": command.models, "quantize": command.quantize}
        config = config.model_copy(update={k: v for k, v in given.items() if v is not None})
        data, held_out = _data(config)
        vae, progress = _trained(run, data, device, group)
        if config.quantize:
            check_quantizable(vae.spec)
        draws = config.importance_samples
        evaluation = _evaluate(vae, held_out, draws, config.seed, device, group)
        if group.main:
            bundle = _publish(run, config, data, held_out, vae, evaluation, progress.best_epoch)
            console.print(f"bundle {bundle}", soft_wrap=True)


def run_exact(command: ExactCommand, console: Console) -> None:
    """Print what the run's linear model has reached beside what it could."""
    run = Run(command.run)
    config = run.config()
    data, held_out = _data(config)
    vae, _ = _trained(run, data, torch.device("cpu"), ALONE)
    if not isinstance(data, Dataset):
        raise RunError(f"run {run.path}: its rows are in shards; exact needs them in memory")
    console.print(exact.table(*exact.compare(vae, data.x, held_out.x, config.seed)))


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


def table(evaluation: Evaluation) -> Table:
    """The figures, for a terminal."""
    shown = Table(title=f"{evaluation.rows:,} rows, {evaluation.samples} draws of z each")
    shown.add_column("")
    shown.add_column("nats a row", justify="right")
    for name in ("elbo", "reconstruction", "kl", "importance_weighted"):
        shown.add_row(name.replace("_", " "), f"{getattr(evaluation, name):.3f}")
    shown.add_section()
    shown.add_row("bits per dimension", f"{evaluation.bits_per_dimension:.4f}")
    shown.add_row("active units", f"{evaluation.active_units} of {evaluation.latents}")
    for name, nats in evaluation.terms.items():
        shown.add_row(name.replace("_", " "), f"{nats:.3f}")
    for place, kl in evaluation.kl_by_place().items():
        shown.add_row(f"kl of {place}", f"{kl:.3f}")
    return shown


def _plain(command: TrainCommand) -> TrainConfig:
    """The part of the command that is stored with the run."""
    return TrainConfig(**{name: getattr(command, name) for name in TrainConfig.model_fields})


def _data(config: TrainConfig) -> tuple[TrainingSet, Dataset]:
    dataset = load(
        config.data,
        image_size=config.image_size,
        gray=config.gray,
        columns=config.columns,
        condition_columns=config.condition_columns,
    )
    train, held_out = _split(dataset, config)
    if config.binarise == "dynamic":
        held_out = binarised(held_out, config.seed)
    return train, held_out


def _split(dataset: Dataset | Sharded, config: TrainConfig) -> tuple[TrainingSet, Dataset]:
    if isinstance(dataset, Sharded):
        if config.binarise == "fixed":
            raise ConfigError("binarise: fixed keeps what it draws in memory; for shards, dynamic")
        return dataset.split(config.held_out, config.seed, config.shuffle_mib << 20)
    if config.binarise == "fixed":
        dataset = binarised(dataset, config.seed)
    return split(dataset, config.held_out, config.seed)


def _rows(data: TrainingSet, spec: ModelSpec) -> Rows:
    """The training rows, with their conditions where the model has one; shards have none."""
    return conditioned(data, spec) if isinstance(data, Dataset) else data.rows


def _held(command: TrainCommand, group: Group) -> AbstractContextManager[Run]:
    """The run's directory, which the main process holds and the others only know by name."""
    if group.main:
        return hold(command.run, resume=command.resume)
    return nullcontext(Run(command.run))


def _voice(console: Console, group: Group) -> Console:
    """Where a process of the group prints: the main process speaks for all."""
    return console if group.main else Console(quiet=True)


def _begin(run: Run, config: TrainConfig, fresh: Progress, group: Group) -> Progress:
    """Begin the run or go on with it: how far it is, as the main process finds it.

    Raises like check_group, and RunError when the stored run is another one.
    """
    check_group(config, fresh, group)
    if not group.main:
        return Progress.model_validate_json(group.broadcast(b""))
    run.check(config)
    progress = _resume(run, config, fresh)
    run.begin(config)
    group.broadcast(progress.model_dump_json().encode())
    return progress


def check_group(config: TrainConfig, fresh: Progress, group: Group) -> None:
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
    group.require_same("rows of training data", fresh.data)


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


def _trained(
    run: Run, data: TrainingSet, device: torch.device, group: Group
) -> tuple[VAE, Progress]:
    vae, progress = _of_run(run, group)
    if progress.data != _rows(data, vae.spec).fingerprint():
        raise RunError(f"the data is not that of run {run.path}: its rows have changed")
    return fast(vae).to(device).eval(), progress


def _of_run(run: Run, group: Group) -> tuple[VAE, Progress]:
    vae, progress = load_best(run.checkpoint, group)
    if not progress.best_epoch:
        raise RunError(f"run {run.path}: no epoch ended with a finite held-out ELBO")
    return vae, progress


def _evaluate(
    vae: VAE,
    rows: Dataset,
    samples: int,
    seed: int,
    device: torch.device,
    group: Group,
) -> Evaluation:
    told = conditioned(rows, vae.spec).to(device)
    evaluation = evaluate(vae, told.x, samples=samples, seed=seed, group=group, c=told.c)
    if not evaluation.finite:
        raise RunError(
            "the model's scores of rows that it was not trained on are not finite; its training "
            "diverged, or the data holds rows unlike all others"
        )
    return evaluation


def _subject(
    command: EvaluateCommand, device: torch.device, group: Group
) -> tuple[VAE, Dataset, int]:
    """The model to evaluate, the rows, and the seed of the noise."""
    if command.bundle:
        vae = fast(_of_bundle(command.bundle)).to(device).eval()
        return vae, _rows_for(vae, command), command.seed
    if command.run is None:
        raise AssertionError("the command has neither run nor bundle. This is a bug.")
    run = Run(command.run)
    if command.data:
        vae = fast(_of_run(run, group)[0]).to(device).eval()
        return vae, _rows_for(vae, command), command.seed
    config = run.config()
    data, held_out = _data(config)
    return _trained(run, data, device, group)[0], held_out, config.seed


def _of_bundle(path: Path) -> VAE:
    bundle = open_bundle(path)
    vae = VAE(bundle.manifest)
    vae.load_state_dict(safetensors.torch.load(bundle.files["checkpoint.safetensors"]))
    return vae


def _rows_for(vae: VAE, command: EvaluateCommand) -> Dataset:
    """The data of the command. Raises ConfigError when its rows are not the model's."""
    source = command.data or ""
    is_table = Path(source).suffix.lower() in (".csv", ".parquet")
    told = vae.spec.condition.names if isinstance(vae.spec.condition, Vector) else None
    rows = (
        load(source, columns=vae.spec.input.columns, condition_columns=told)
        if is_table
        else load(source)
    )
    if isinstance(rows, Sharded):
        raise ConfigError(f"data: evaluation needs rows in memory; name one file of {source}")
    if rows.input.shape != vae.spec.input.shape:
        raise ConfigError(
            f"data: rows of {source} are {rows.input.shape}, those of the model "
            f"{vae.spec.input.shape}"
        )
    return binarised(rows, command.seed) if command.binarise else rows


def _check_picture(command: EvaluateCommand, spec: ModelSpec) -> None:
    if command.picture and not sharpness.visible(spec.input):
        raise ConfigError(
            f"picture: the model is of rows of {spec.input.shape}, not of images of 3×3 or more"
        )


def _show_pictures(command: EvaluateCommand, gallery: sharpness.Gallery, console: Console) -> None:
    console.print(sharpness.table(sharpness.measure(gallery)))
    if command.picture:
        write_atomically(command.picture, gallery.strip(PICTURE_COLUMNS))


def _store(run: Run, evaluation: Evaluation) -> None:
    fields = {name: value for name, value in asdict(evaluation).items() if name != "scores"}
    write_atomically(run.path / "evaluation.json", json.dumps(fields, indent=2).encode())


def _publish(
    run: Run,
    config: TrainConfig,
    data: TrainingSet,
    held_out: Dataset,
    vae: VAE,
    evaluation: Evaluation,
    epoch: int,
) -> Path:
    """Export the VAE with the weights of ``epoch``; write its pictures, its card and its bundle."""
    _store(run, evaluation)
    c = conditions(held_out, vae.spec)
    vae.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    text = card(config, vae.spec, evaluation, rows=len(data), epoch=epoch)
    shown: dict[FileName, bytes] = {
        "README.md": text.encode(),
        "samples.png": pictures.samples(vae, held_out.x, config.seed, c),
        "reconstructions.png": pictures.reconstructions(vae, held_out.x, c),
    }
    for name, content in shown.items():
        write_atomically(run.path / name, content)
    write_atomically(run.path / "curves.png", pictures.curves(run.history()))
    gallery = sharpness.look(vae, held_out, config.seed)
    sharp = sharpness.measure(gallery) if gallery else None
    report = _report(run, config, data, held_out)
    report.write(vae, epoch=epoch, evaluation=evaluation, sharpness=sharp)
    files = export(vae, held_out.x, evaluation, config.seed, c) | shown
    metrics = evaluation.figures() | {"epoch": epoch} | (sharp.figures() if sharp else {})
    scores = evaluation.scores
    if config.quantize:
        int8 = quantize(vae, files, calibration_rows(config, data), held_out.x, config.seed)
        files |= int8.files | {"README.md": f"{text}\n{int8.section()}".encode()}
        metrics |= int8.figures()
        scores = int8.scores
    return write_bundle(
        config.models,
        files,
        **dict(vae.spec),
        name=config.name,
        created=datetime.now(UTC),
        metrics=metrics,
        calibration=calibration(scores),
        quantization="int8" if config.quantize else None,
        versions=versions(),
    )


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
        _report(run, config, data, held_out),
        *(
            logger(run, config, reached=reached, console=console)
            for logger in load_loggers(config.log)
        ),
    )


def _report(run: Run, config: TrainConfig, data: TrainingSet, held_out: Dataset) -> ReportWriter:
    return ReportWriter(run, config, rows=len(data), held_out=held_out)


def _announce(
    console: Console, config: TrainConfig, vae: VAE, data: TrainingSet, progress: Progress
) -> None:
    weights = sum(parameter.numel() for parameter in vae.parameters())
    start = f"from epoch {progress.epoch + 1}" if progress.epoch else "from the start"
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
