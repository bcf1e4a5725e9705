"""One training step: noise, loss, gradient and update."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from training.data.binarise import binarise
from training.data.row_source import Batch
from training.loop.optimiser import descend
from training.loop.train_state import Learner
from training.objectives.objective import Loss
from training.objectives.schedules import Now


def learn(learner: Learner, batch: Batch, now: Now, noise: torch.Generator) -> Tensor:
    """A step on this process's slice of the batch. Returns what ``step`` does.

    Every process of the group draws the noise of all rows and takes its part.
    """
    vae, mine = learner.vae, learner.group.part(batch.rows)
    x = batch.x.to(noise.device).float()
    if learner.limits:
        uniform = torch.rand((batch.rows, *x.shape[1:]), generator=noise, device=noise.device)
        x = binarise(x, learner.limits, uniform[mine])
    shape = (learner.objective.noises, batch.rows, vae.spec.latent_dim)
    eps = torch.randn(shape, generator=noise, device=noise.device)[:, mine]
    if learner.replayed and batch.rows == learner.replayed.rows:
        return learner.replayed(partial(_on_tensors, learner), _tensors(x, eps, now, batch.c))
    return step(learner, x, eps, now, share=len(x) / batch.rows, c=batch.c)


def _tensors(x: Tensor, eps: Tensor, now: Now, c: Tensor | None) -> list[Tensor]:
    """All that differs from step to step, on the device."""
    numbers = [torch.full((), float(number), device=x.device) for number in now]
    return [x, eps, *numbers] if c is None else [x, eps, *numbers, c]


def _on_tensors(learner: Learner, tensors: Sequence[Tensor]) -> Tensor:
    x, eps, beta, capacity, learning_rate, *c = tensors
    return step(learner, x, eps, Now(beta, capacity, learning_rate), c=c[0] if c else None)


def step(
    learner: Learner,
    x: Tensor,
    eps: Tensor,
    now: Now,
    share: float = 1.0,
    c: Tensor | None = None,
) -> Tensor:
    """One step on a batch, of which x, with conditions c, is this process's ``share`` from 0 to 1.

    Returns (skipped, rows, ELBO, reconstruction, KL, loss) of the whole batch, the last four summed
    over the rows; a skipped step counts no rows.
    """
    loss = learner.objective(learner.computed.given(c), x, eps, now)
    sums = _sums(loss)
    bad = descend(
        learner.optimiser,
        share * loss.loss,
        learner.parameters,
        sums,
        learning_rate=now.learning_rate,
        clip_norm=learner.clip_norm,
        group=learner.group,
    )
    return torch.cat([bad.double().reshape(1), torch.where(bad, 0.0, sums)])


def _sums(loss: Loss) -> Tensor:
    """Rows, ELBO, reconstruction, KL and loss of the batch. A loss of no rows counts as none."""
    rows = len(loss.reconstruction)
    reconstruction, kl = loss.reconstruction.detach().sum(), loss.kl_per_latent.detach().sum()
    total = rows * loss.loss.detach() if rows else kl
    counted = torch.full_like(kl, rows)
    return torch.stack([counted, reconstruction - kl, reconstruction, kl, total]).double()
