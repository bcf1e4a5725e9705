"""What a step changes, and the step."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from training.config.options import TrainConfig
from training.data.binarise import binarise
from training.data.row_source import Batch
from training.loop.cuda_graph import CudaGraph, Replayed
from training.loop.ema import Average
from training.loop.optimiser import descend, make_optimiser
from training.loop.precision import computing_in
from training.model.build import objective as make_objective
from training.objectives.objective import Loss, Objective
from training.objectives.schedules import Now
from training.system.distributed import ALONE, Group
from vae.networks import VAE


@dataclass(frozen=True, eq=False)
class Learner:
    """A VAE, what it is trained for and how; a step changes ``parameters``.

    ``computed`` is the VAE in the precision of a step, ``replayed`` a step that is captured once.
    ``limits`` are those of the values that are binarised anew whenever they are shown.
    """

    vae: VAE
    computed: VAE
    objective: Objective
    optimiser: torch.optim.Optimizer
    average: Average | None
    group: Group
    replayed: Replayed | None
    parameters: tuple[nn.Parameter, ...]
    clip_norm: float
    limits: tuple[float, float] | None

    @classmethod
    def start(cls, vae: VAE, config: TrainConfig, *, rows: int, group: Group = ALONE) -> "Learner":
        """As a run on so many rows begins."""
        device = next(vae.parameters()).device
        return cls(
            vae=vae,
            computed=computing_in(config.precision, vae),
            objective=make_objective(config, rows),
            optimiser=make_optimiser(vae, config),
            average=Average(vae, config.ema) if config.ema else None,
            group=group,
            replayed=(
                Replayed(CudaGraph(device), config.batch_size) if config.cuda_graph else None
            ),
            parameters=_trained(vae.parameters()),
            clip_norm=config.clip_norm,
            limits=vae.spec.input.range if config.binarise == "dynamic" else None,
        )

    @property
    def judged(self) -> VAE:
        """The weights that are validated, kept and exported."""
        return self.average.vae if self.average else self.vae

    def split(self) -> tuple["Learner", "Learner"]:
        """The same for the encoder's parameters alone, and for all others."""
        encoder = _trained(self.vae.encoder.parameters())
        own = {id(parameter) for parameter in encoder}
        rest = tuple(each for each in self.parameters if id(each) not in own)
        return replace(self, parameters=encoder), replace(self, parameters=rest)


def _trained(parameters: Iterable[nn.Parameter]) -> tuple[nn.Parameter, ...]:
    return tuple(parameter for parameter in parameters if parameter.requires_grad)


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
