"""The training loop, to be read from top to bottom.

The data lies on the device as it is in memory, uint8 or float32, and batches are picked by index;
what does not fit into memory is read as it is needed (see data/windows.py).
Nothing in a step waits for the device: losses, and whether a step was skipped, are added up there
and read once an epoch. Order and noise of an epoch depend only on the seed and its number, so a
killed run that goes on from a checkpoint does what it would have done (on CPU bit for bit; CUDA's
convolutions and sums may differ in the last bits). Several processes (see group.py) draw the same
order and noise, and each works on its slice of every batch: they do what one process would have
done, but for the order in which sums are rounded.
"""

import math
import time
from dataclasses import dataclass

import torch

from training.config.options import TrainConfig
from training.data.row_source import InMemory, Rows
from training.errors import RunError
from training.evaluation.kl_decomposition import Decomposition, decomposition
from training.evaluation.validate import Validation, validate
from training.loop.aggressive import random_batches, refine
from training.loop.checkpoint import Progress, Weights, load_checkpoint, save_checkpoint
from training.loop.early_stopping import Patience
from training.loop.metrics import EpochMetrics
from training.loop.precision import rounding
from training.loop.reporter import Reporter
from training.loop.run_directory import Run
from training.loop.step import learn
from training.loop.train_state import Learner
from training.objectives import schedules
from training.objectives.schedules import Now
from training.system.distributed import ALONE, Group
from training.system.seeds import Purpose, generator
from vae.networks import VAE


def train(
    vae: VAE,
    data: Rows,
    held_out: InMemory,
    config: TrainConfig,
    run: Run,
    progress: Progress,
    reporter: Reporter,
    group: Group = ALONE,
) -> None:
    """Fit ``vae`` to ``data`` from the run's last checkpoint to its last epoch.

    All are on one device. Every process of ``group`` ends with the same weights; its main process
    writes and reports. Raises RunError when more than ``config.max_skipped`` of an epoch's steps
    had a loss or gradient that is not finite; the checkpoint stays that of the epoch before.
    """
    learner = Learner.start(vae, config, rows=len(data), group=group)
    x, c = held_out.x, held_out.c
    judged = learner.judged
    best = _copy(judged)
    if progress.epoch:
        best = load_checkpoint(
            run.checkpoint, vae, learner.optimiser, learner.average, learner.group
        )
    if group.main:
        run.rewind(progress.epoch)
    saved = time.monotonic()
    while progress.epoch < config.epochs and not progress.stopping.lost(config.patience):
        epoch = progress.epoch + 1
        began = time.monotonic()
        aggressive = config.aggressive and not progress.information.lost(1)
        decay = _decay(progress, config)
        with rounding(config.precision):
            totals = run_epoch(learner, data, config, epoch, reporter, decay, aggressive=aggressive)
        rate = len(data) / (time.monotonic() - began)
        end = schedules.at_the_end(config)
        validation = validate(judged, learner.objective, x, end, config.seed, group, c)
        metrics = _metrics(totals, validation, epoch, rate)
        if group.main:
            run.log(metrics.as_json())
            reporter.epoch(metrics)
        _refuse_divergence(metrics, totals.steps, config)
        if _is_best(validation.objective, progress, config):
            best = _copy(judged)
            chosen = {"best_epoch": epoch, "best_objective": validation.objective}
            progress = progress.model_copy(update=chosen)
        progress = advance(progress, validation.objective, metrics.step, config)
        if aggressive:
            progress = informed(progress, decomposition(judged, x, config.seed, group, c))
        done = epoch == config.epochs or progress.stopping.lost(config.patience)
        due = done or time.monotonic() - saved >= config.checkpoint_seconds
        if group.main and due:
            save_checkpoint(run.checkpoint, vae, learner.optimiser, best, progress, learner.average)
            reporter.checkpoint(judged)
            saved = time.monotonic()


@dataclass(frozen=True)
class Totals:
    """An epoch's sums over the rows of the steps that were not skipped; the last step's weights."""

    steps: int
    skipped: int
    rows: float
    elbo: float
    reconstruction: float
    kl: float
    loss: float
    last: Now


def run_epoch(
    learner: Learner,
    data: Rows,
    config: TrainConfig,
    epoch: int,
    reporter: Reporter,
    decay: float = 1.0,
    *,
    aggressive: bool = False,
) -> Totals:
    """One pass over the data in an order of its own; ``decay`` is on the learning rate.

    An ``aggressive`` pass trains the encoder before every step of the rest.
    """
    device = next(learner.vae.parameters()).device
    noise = generator(config.seed, Purpose.NOISE, epoch, device)
    steps = -(-len(data) // config.batch_size)
    totals = torch.zeros(6, dtype=torch.float64, device=device)
    encoder, rest = learner.split()
    ahead = random_batches(data, config.batch_size, config.seed, epoch, learner.group)
    batches = data.batches(config.batch_size, config.seed, epoch, learner.group)
    for number, batch in enumerate(batches):
        now = schedules.at(config, epoch - 1 + number / steps, decay)
        if aggressive:
            refine(encoder, ahead, now, noise)
        totals += learn(rest if aggressive else learner, batch, now, noise)
        if learner.average:
            learner.average.update(learner.vae, (epoch - 1) * steps + number)
        reporter.step(batch.rows)
    skipped, counted, elbo, reconstruction, kl, loss = totals.tolist()
    return Totals(steps, int(skipped), counted, elbo, reconstruction, kl, loss, now)


def advance(progress: Progress, objective: float, step: int, config: TrainConfig) -> Progress:
    """The progress after one epoch more, with its held-out objective."""
    stopping, plateau = progress.stopping.after(objective), progress.plateau.after(objective)
    drop = config.learning_rate_schedule == "plateau" and plateau.lost(config.plateau_epochs)
    return progress.model_copy(
        update={
            "epoch": progress.epoch + 1,
            "step": step,
            "stopping": stopping,
            "plateau": Patience(best=plateau.best) if drop else plateau,
            "drops": progress.drops + drop,
        }
    )


def informed(progress: Progress, terms: Decomposition | None) -> Progress:
    """The progress after an aggressive epoch, which is the last one unless the mutual information
    of x and z on the held-out rows has risen.
    """
    if terms is None:
        raise AssertionError("aggressive training of latents without terms. This is a bug.")
    risen = progress.information.after(terms.mutual_information)
    return progress.model_copy(update={"information": risen})


def _decay(progress: Progress, config: TrainConfig) -> float:
    """What plateaus have left of the learning rate."""
    return float(config.plateau_factor**progress.drops)


def _metrics(totals: Totals, validation: Validation, epoch: int, rate: float) -> EpochMetrics:
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


def _copy(vae: VAE) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in vae.state_dict().items()}


def _refuse_divergence(metrics: EpochMetrics, steps: int, config: TrainConfig) -> None:
    if metrics.skipped > config.max_skipped * steps:
        raise RunError(
            f"run {config.run} was ended in epoch {metrics.epoch}: {metrics.skipped} of {steps} "
            "steps had a loss or gradient that is not finite, and max_skipped is "
            f"{config.max_skipped:g}; try a lower learning rate than {config.learning_rate:g}, "
            "a smaller clip norm or scaled data"
        )
