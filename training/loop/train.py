"""The training loop: read it from top to bottom.

Data in memory lies on the device as uint8 or float32, and batches are selected by index. Data that
does not fit into memory is streamed (data/windows.py). No step waits for the device: losses and
skipped steps are summed on the device and read once per epoch.

The order of rows and the noise of an epoch depend only on the seed and the epoch's number, so a run
that was killed and resumed repeats what it would have done: bit for bit on a CPU, up to the last
bits of convolutions and sums on CUDA. Several processes (system/distributed.py) use the same order
and noise, and each works on its slice of every batch.
"""

import math
import time
from dataclasses import dataclass

import torch

from training.config.train_config import TrainConfig
from training.data.row_source import InMemoryRows, RowSource
from training.errors import RunError
from training.evaluation.kl_decomposition import KLDecomposition, kl_decomposition
from training.evaluation.validate import Validation, validate
from training.loop.aggressive import random_batches, train_encoder
from training.loop.checkpoint import Progress, Weights, load_checkpoint, save_checkpoint
from training.loop.early_stopping import EarlyStopping
from training.loop.metrics import EpochMetrics
from training.loop.precision import tf32_if_requested
from training.loop.reporter import Reporter
from training.loop.run_directory import RunDirectory
from training.loop.step import train_step
from training.loop.train_state import TrainState
from training.objectives import schedules
from training.objectives.schedules import ScheduledValues
from training.system.distributed import SINGLE_PROCESS, ProcessGroup
from training.system.seeds import Purpose, generator
from vae.networks import VAE


def train(
    vae: VAE,
    data: RowSource,
    held_out: InMemoryRows,
    config: TrainConfig,
    run: RunDirectory,
    progress: Progress,
    reporter: Reporter,
    group: ProcessGroup = SINGLE_PROCESS,
) -> None:
    """Fit ``vae`` to ``data``, from the run's last checkpoint to its last epoch.

    ``vae``, ``data`` and ``held_out`` are on the same device. Every process of ``group`` ends with
    the same weights; the main process writes files and reports. Raises RunError if more than
    ``config.max_skipped`` of an epoch's steps had a loss or gradient that is not finite. The last
    checkpoint remains in that case.
    """
    state = TrainState.create(vae, config, rows=len(data), group=group)
    x, c = held_out.x, held_out.c
    eval_vae = state.eval_vae
    best = _copy_weights(eval_vae)
    if progress.epoch:
        best = load_checkpoint(run.checkpoint, vae, state.optimiser, state.ema, state.group)
    if group.is_main:
        run.truncate_metrics(progress.epoch)
    saved = time.monotonic()
    while not _finished(progress, config):
        epoch = progress.epoch + 1
        began = time.monotonic()
        aggressive = config.aggressive and not progress.mutual_information.should_stop(1)
        with tf32_if_requested(config.precision):
            totals = run_epoch(
                state,
                data,
                config,
                epoch,
                reporter,
                _plateau_factor(progress, config),
                aggressive=aggressive,
            )
        rate = len(data) / (time.monotonic() - began)
        final = schedules.final_values(config)
        validation = validate(eval_vae, state.objective, x, final, config.seed, group, c)
        metrics = _epoch_metrics(totals, validation, epoch, rate)
        if group.is_main:
            run.append_metrics(metrics.as_json())
            reporter.epoch(metrics)
        _check_divergence(metrics, totals.steps, config)
        if _is_best(validation.objective, progress, config):
            best = _copy_weights(eval_vae)
            chosen = {"best_epoch": epoch, "best_objective": validation.objective}
            progress = progress.model_copy(update=chosen)
        progress = advance(progress, validation.objective, metrics.step, config)
        if aggressive:
            terms = kl_decomposition(eval_vae, x, config.seed, group, c)
            progress = advance_aggressive(progress, terms)
        due = time.monotonic() - saved >= config.checkpoint_seconds
        if group.is_main and (due or _finished(progress, config)):
            save_checkpoint(run.checkpoint, vae, state.optimiser, best, progress, state.ema)
            reporter.checkpoint(eval_vae)
            saved = time.monotonic()


@dataclass(frozen=True)
class EpochTotals:
    """Sums over the rows of an epoch's steps, without skipped steps, in nats.

    ``last`` are the scheduled values of the last step.
    """

    steps: int
    skipped: int
    rows: float
    elbo: float
    reconstruction: float
    kl: float
    loss: float
    last: ScheduledValues


def run_epoch(
    state: TrainState,
    data: RowSource,
    config: TrainConfig,
    epoch: int,
    reporter: Reporter,
    plateau_factor: float = 1.0,
    *,
    aggressive: bool = False,
) -> EpochTotals:
    """Pass over the data once, in an order of this epoch.

    ``plateau_factor`` multiplies the learning rate. An ``aggressive`` epoch trains the encoder
    before every step of the other parameters.
    """
    device = next(state.vae.parameters()).device
    noise = generator(config.seed, Purpose.NOISE, epoch, device)
    steps = -(-len(data) // config.batch_size)
    totals = torch.zeros(6, dtype=torch.float64, device=device)
    encoder, rest = state.split()
    encoder_batches = random_batches(data, config.batch_size, config.seed, epoch, state.group)
    batches = data.batches(config.batch_size, config.seed, epoch, state.group)
    for number, batch in enumerate(batches):
        scheduled = schedules.values_at(config, epoch - 1 + number / steps, plateau_factor)
        if aggressive:
            train_encoder(encoder, encoder_batches, scheduled, noise)
        totals += train_step(rest if aggressive else state, batch, scheduled, noise)
        if state.ema:
            state.ema.update(state.vae, (epoch - 1) * steps + number)
        reporter.step(batch.rows)
    skipped, rows, elbo, reconstruction, kl, loss = totals.tolist()
    return EpochTotals(steps, int(skipped), rows, elbo, reconstruction, kl, loss, scheduled)


def advance(progress: Progress, objective: float, step: int, config: TrainConfig) -> Progress:
    """The progress after one more epoch, which ended with this held-out objective in nats."""
    plateau = progress.plateau.update(objective)
    by_plateau = config.learning_rate_schedule == "plateau"
    drop = by_plateau and plateau.should_stop(config.plateau_epochs)
    return progress.model_copy(
        update={
            "epoch": progress.epoch + 1,
            "step": step,
            "early_stopping": progress.early_stopping.update(objective),
            "plateau": EarlyStopping(best=plateau.best) if drop else plateau,
            "learning_rate_drops": progress.learning_rate_drops + drop,
        }
    )


def advance_aggressive(progress: Progress, terms: KLDecomposition | None) -> Progress:
    """The progress after an aggressive epoch. Aggressive training ends if the mutual information of
    x and z on the held-out rows has not risen.
    """
    if terms is None:
        raise AssertionError("aggressive training without a KL decomposition. This is a bug.")
    updated = progress.mutual_information.update(terms.mutual_information)
    return progress.model_copy(update={"mutual_information": updated})


def _finished(progress: Progress, config: TrainConfig) -> bool:
    stopped = progress.early_stopping.should_stop(config.patience)
    return stopped or progress.epoch >= config.epochs


def _plateau_factor(progress: Progress, config: TrainConfig) -> float:
    return float(config.plateau_factor**progress.learning_rate_drops)


def _epoch_metrics(
    totals: EpochTotals, validation: Validation, epoch: int, rate: float
) -> EpochMetrics:
    rows = totals.rows or math.nan
    return EpochMetrics(
        epoch=epoch,
        step=epoch * totals.steps,
        elbo=totals.elbo / rows,
        reconstruction=totals.reconstruction / rows,
        kl=totals.kl / rows,
        loss=totals.loss / rows,
        beta=float(totals.last.beta),
        learning_rate=float(totals.last.learning_rate),
        held_out_objective=validation.objective,
        held_out_elbo=validation.elbo,
        active_units=validation.active_units,
        skipped=totals.skipped,
        images_per_second=rate,
    )


def _is_best(objective: float, progress: Progress, config: TrainConfig) -> bool:
    if not math.isfinite(objective):
        return False
    first = progress.best_epoch == 0
    return first or config.keep == "last" or objective > progress.best_objective


def _copy_weights(vae: VAE) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in vae.state_dict().items()}


def _check_divergence(metrics: EpochMetrics, steps: int, config: TrainConfig) -> None:
    if metrics.skipped > config.max_skipped * steps:
        raise RunError(
            f"run {config.run} stopped in epoch {metrics.epoch}: {metrics.skipped} of {steps} "
            "steps had a loss or gradient that is not finite, more than max_skipped "
            f"{config.max_skipped:g} allows; try a learning rate below {config.learning_rate:g}, "
            "a smaller clip norm or scaled data"
        )
