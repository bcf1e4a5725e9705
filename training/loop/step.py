"""One training step: binarise, draw noise, compute the loss, update the weights."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from training.data.binarise import binarise
from training.data.row_source import Batch
from training.loop.optimiser import optimiser_step
from training.loop.train_state import TrainState
from training.objectives.objective import Loss
from training.objectives.schedules import ScheduledValues


def train_step(
    state: TrainState, batch: Batch, scheduled: ScheduledValues, noise: torch.Generator
) -> Tensor:
    """Take a step on this process's slice of the batch. Returns what ``update_weights`` returns.

    Every process draws the noise of the whole batch and uses its own slice of it.
    """
    local = state.group.local_slice(batch.rows)
    x = batch.x.to(noise.device).float()
    if state.binarise_range:
        uniform = torch.rand((batch.rows, *x.shape[1:]), generator=noise, device=noise.device)
        x = binarise(x, state.binarise_range, uniform[local])
    shape = (state.objective.noise_samples, batch.rows, state.vae.spec.latent_dim)
    eps = torch.randn(shape, generator=noise, device=noise.device)[:, local]
    if state.captured_step and batch.rows == state.captured_step.rows:
        step = partial(_update_from_tensors, state)
        return state.captured_step(step, _as_tensors(x, eps, scheduled, batch.c))
    return update_weights(state, x, eps, scheduled, share=len(x) / batch.rows, c=batch.c)


def update_weights(
    state: TrainState,
    x: Tensor,
    eps: Tensor,
    scheduled: ScheduledValues,
    share: float = 1.0,
    c: Tensor | None = None,
) -> Tensor:
    """Update the weights from x, (slice, *shape), with conditions c and noise eps.

    ``share`` is the fraction of the batch's rows that this process has, 0 to 1. Returns the tensor
    (skipped, rows, ELBO, reconstruction, KL, loss) of the whole batch. The last four are sums over
    rows, in nats. A skipped step counts no rows.
    """
    loss = state.objective(state.forward_vae.conditioned_on(c), x, eps, scheduled)
    sums = _batch_sums(loss)
    skipped = optimiser_step(
        state.optimiser,
        share * loss.loss,
        state.parameters,
        sums,
        learning_rate=scheduled.learning_rate,
        clip_norm=state.clip_norm,
        group=state.group,
    )
    return torch.cat([skipped.double().reshape(1), torch.where(skipped, 0.0, sums)])


def _as_tensors(
    x: Tensor, eps: Tensor, scheduled: ScheduledValues, c: Tensor | None
) -> list[Tensor]:
    """Everything that differs between steps, on the device: a CUDA graph reads only tensors."""
    numbers = [torch.full((), float(number), device=x.device) for number in scheduled]
    return [x, eps, *numbers] if c is None else [x, eps, *numbers, c]


def _update_from_tensors(state: TrainState, tensors: Sequence[Tensor]) -> Tensor:
    x, eps, beta, capacity, learning_rate, *c = tensors
    scheduled = ScheduledValues(beta, capacity, learning_rate)
    return update_weights(state, x, eps, scheduled, c=c[0] if c else None)


def _batch_sums(loss: Loss) -> Tensor:
    """Rows, ELBO, reconstruction, KL and loss, summed over rows. A slice may have 0 rows."""
    rows = len(loss.reconstruction)
    reconstruction, kl = loss.reconstruction.detach().sum(), loss.kl_per_latent.detach().sum()
    total = rows * loss.loss.detach() if rows else kl
    counted = torch.full_like(kl, rows)
    return torch.stack([counted, reconstruction - kl, reconstruction, kl, total]).double()
