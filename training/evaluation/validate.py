"""Validation after every epoch, on held-out rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.evaluation.batches import RowOutputs, map_batches
from training.evaluation.evaluate import active_units
from training.objectives.objective import Objective
from training.objectives.schedules import ScheduledValues
from training.system.distributed import SINGLE_PROCESS, ProcessGroup
from vae.networks import VAE


@dataclass(frozen=True)
class Validation:
    """``objective`` is minus the loss. ELBO and KL are means over the rows in nats."""

    objective: float
    elbo: float
    kl_per_latent: tuple[float, ...]
    active_units: int


@torch.inference_mode()
def validate(
    vae: VAE,
    objective: Objective,
    x: Tensor,
    scheduled: ScheduledValues,
    seed: int,
    group: ProcessGroup = SINGLE_PROCESS,
    c: Tensor | None = None,
) -> Validation:
    """The objective on x, (rows, *shape), with conditions c and the same noise at every call."""

    def work(conditioned: VAE, rows: Tensor, noise: torch.Generator) -> RowOutputs:
        shape = (objective.noise_samples, len(rows), vae.spec.latent_dim)
        eps = torch.randn(shape, generator=noise, device=x.device)
        output = objective(conditioned, rows, eps, scheduled)
        centre = conditioned.latents.centre(output.mu, output.logvar)
        return output.loss.expand(len(rows)), output.elbo, output.kl_per_latent, centre

    shapes = ((), (), (len(vae.latents.parts),), (vae.spec.latent_dim,))
    loss, elbo, kl, z = map_batches(vae.frozen(), x, work, shapes, seed, group, c)
    return Validation(
        objective=-float(loss.double().mean()),
        elbo=float(elbo.double().mean()),
        kl_per_latent=tuple(kl.double().mean(dim=0).tolist()),
        active_units=active_units(z),
    )
