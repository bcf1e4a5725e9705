"""The training loop, to be read from top to bottom.

The data lies on the device as it is in memory, uint8 or float32, and batches are picked by index.
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
from typing import Any

import torch
from torch import Tensor

from training.checkpoint import Progress, Weights, load_checkpoint, save_checkpoint
from training.config import TrainConfig
from training.errors import RunError
from training.evaluate import Evaluation, evaluate
from training.group import ALONE, Group
from training.objective import annealed_beta, elbo
from training.progress import EpochMetrics, Reporter
from training.run import Run
from training.seeds import Purpose, generator
from vae.networks import VAE

LIKELIHOOD_RATE = 10.0
"""Times the learning rate for the likelihood's own parameters. Adam moves a parameter by about the
learning rate a step, and a log variance has far to go: without this it lags for thousands of steps.
"""


def train(
    vae: VAE,
    x: Tensor,
    held_out: Tensor,
    config: TrainConfig,
    run: Run,
    progress: Progress,
    reporter: Reporter,
    group: Group = ALONE,
) -> None:
    """Fit ``vae`` to x, (rows, *shape), from the run's last checkpoint to its last epoch.

    All are on one device. Every process of ``group`` ends with the same weights; its main process
    writes and reports. Raises RunError when more than ``config.max_skipped`` of an epoch's steps
    had a loss or gradient that is not finite; the checkpoint stays that of the epoch before.
    """
    optimiser = make_optimiser(vae, config)
    best = _copy(vae)
    if progress.epoch:
        best = load_checkpoint(run.checkpoint, vae, optimiser, group)
    if group.main:
        run.rewind(progress.epoch)
    saved = time.monotonic()
    for epoch in range(progress.epoch + 1, config.epochs + 1):
        began = time.monotonic()
        totals = run_epoch(vae, optimiser, x, config, epoch, reporter, group)
        rate = len(x) / (time.monotonic() - began)
        evaluation = evaluate(vae, held_out, samples=1, seed=config.seed, group=group)
        metrics = _metrics(totals, evaluation, epoch, rate)
        if group.main:
            run.log(metrics.as_json())
            reporter.epoch(metrics)
        _refuse_divergence(metrics, totals.steps, config)
        objective = evaluation.reconstruction - config.beta * evaluation.kl
        if _is_best(objective, progress, config):
            best = _copy(vae)
            progress = progress.model_copy(
                update={"best_epoch": epoch, "best_objective": objective}
            )
        progress = progress.model_copy(update={"epoch": epoch, "step": metrics.step})
        due = epoch == config.epochs or time.monotonic() - saved >= config.checkpoint_seconds
        if group.main and due:
            save_checkpoint(run.checkpoint, vae, optimiser, best, progress)
            reporter.checkpoint(vae)
            saved = time.monotonic()


def make_optimiser(vae: VAE, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW in its fused form: one kernel a step, which can also skip a step by itself."""
    networks = (vae.encoder, vae.latents, vae.decoder)
    groups: list[dict[str, Any]] = [
        {"params": [weight for part in networks for weight in part.parameters()]},
        {
            "params": [p for p in vae.likelihood.parameters() if p.requires_grad],
            "lr": LIKELIHOOD_RATE * config.learning_rate,
            "weight_decay": 0.0,
        },
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=True,
    )


@dataclass(frozen=True)
class Totals:
    """An epoch's sums over the rows of the steps that were not skipped."""

    steps: int
    skipped: int
    rows: float
    elbo: float
    reconstruction: float
    kl: float
    beta: float


def run_epoch(
    vae: VAE,
    optimiser: torch.optim.Optimizer,
    x: Tensor,
    config: TrainConfig,
    epoch: int,
    reporter: Reporter,
    group: Group = ALONE,
) -> Totals:
    """One pass over x in an order of its own."""
    order = torch.randperm(len(x), generator=generator(config.seed, Purpose.ORDER, epoch))
    noise = generator(config.seed, Purpose.NOISE, epoch, x.device)
    batches = torch.split(order.to(x.device), config.batch_size)
    anneal_steps = config.kl_anneal_epochs * len(batches)
    totals = torch.zeros(5, dtype=torch.float64, device=x.device)
    beta = config.beta
    for number, rows in enumerate(batches):
        beta = annealed_beta(config.beta, (epoch - 1) * len(batches) + number, anneal_steps)
        eps = torch.randn(len(rows), config.latent_dim, generator=noise, device=x.device)
        mine = group.part(len(rows))
        share = (mine.stop - mine.start) / len(rows)
        batch = x.index_select(0, rows[mine]).float()
        totals += step(
            vae, optimiser, batch, eps[mine], beta, config.clip_norm, group=group, share=share
        )
        reporter.step(len(rows))
    skipped, counted, bound, reconstruction, kl = totals.tolist()
    return Totals(len(batches), int(skipped), counted, bound, reconstruction, kl, beta)


def step(
    vae: VAE,
    optimiser: torch.optim.Optimizer,
    x: Tensor,
    eps: Tensor,
    beta: float,
    clip_norm: float,
    group: Group = ALONE,
    share: float = 1.0,
) -> Tensor:
    """One step of ``group`` on a batch, of which x is this process's ``share`` from 0 to 1.

    Returns (skipped, rows, ELBO, reconstruction, KL) of the whole batch, the last three summed over
    the rows; a skipped step counts no rows.
    """
    optimiser.zero_grad()
    loss = elbo(vae, x, eps, beta)
    (share * loss.loss).backward()  # type: ignore[no-untyped-call]
    parts = torch.stack([torch.ones_like(loss.elbo), loss.elbo, loss.reconstruction, loss.kl])
    sums = parts.detach().double().sum(dim=1)
    group.add([sums, *(p.grad for p in vae.parameters() if p.grad is not None)])
    norm = torch.nn.utils.clip_grad_norm_(vae.parameters(), clip_norm)
    bad = ~(torch.isfinite(norm) & torch.isfinite(sums).all())
    # The fused optimisers leave weights and state alone where found_inf is 1. This is how
    # torch.amp.GradScaler skips a step without asking the device.
    optimiser.found_inf = bad.float()  # type: ignore[attr-defined]
    optimiser.grad_scale = None  # type: ignore[attr-defined]
    optimiser.step()
    return torch.cat([bad.double().reshape(1), torch.where(bad, 0.0, sums)])


def _metrics(totals: Totals, evaluation: Evaluation, epoch: int, rate: float) -> EpochMetrics:
    rows = totals.rows or math.nan
    return EpochMetrics(
        epoch=epoch,
        step=epoch * totals.steps,
        elbo=totals.elbo / rows,
        reconstruction=totals.reconstruction / rows,
        kl=totals.kl / rows,
        beta=totals.beta,
        held_out_elbo=evaluation.elbo,
        active_units=evaluation.active_units,
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
