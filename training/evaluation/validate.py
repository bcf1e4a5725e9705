"""What a run is watched and judged by after every epoch, on rows that it does not train on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.evaluation.batches import Parts, in_batches
from training.evaluation.evaluate import active_units
from training.objectives.objective import Objective
from training.objectives.schedules import Now
from training.system.distributed import ALONE, Group
from vae.networks import VAE


@dataclass(frozen=True)
class Validation:
    """``objective`` is minus the loss, to be raised; the others are means in nats over the rows."""

    objective: float
    elbo: float
    kl_per_latent: tuple[float, ...]
    active_units: int


@torch.inference_mode()
def validate(
    vae: VAE,
    objective: Objective,
    x: Tensor,
    now: Now,
    seed: int,
    group: Group = ALONE,
    c: Tensor | None = None,
) -> Validation:
    """The objective on x, (rows, *shape), with conditions c, and the same noise every time."""

    def work(given: VAE, rows: Tensor, noise: torch.Generator) -> Parts:
        shape = (objective.noises, len(rows), vae.spec.latent_dim)
        eps = torch.randn(shape, generator=noise, device=x.device)
        found = objective(given, rows, eps, now)
        centre = given.latents.centre(found.mu, found.logvar)
        return found.loss.expand(len(rows)), found.elbo, found.kl_per_latent, centre

    shapes = ((), (), (len(vae.latents.parts),), (vae.spec.latent_dim,))
    loss, elbo, kl, z = in_batches(vae.settled(), x, work, shapes, seed, group, c)
    return Validation(
        objective=-float(loss.double().mean()),
        elbo=float(elbo.double().mean()),
        kl_per_latent=tuple(kl.double().mean(dim=0).tolist()),
        active_units=active_units(z),
    )
