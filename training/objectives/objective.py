"""What training minimises: draws from q(z|x), the evidence lower bound and its variants, in nats.

An objective is called on a batch and gives a Loss. It says how much noise a row takes, and whether
its loss is a mean over rows: only then is the gradient of a large batch the mean of its parts'.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor

from training.objectives.schedules import Now
from vae.networks import VAE


@dataclass(frozen=True, eq=False)
class Draws:
    """z ~ q(z|x), ``draws`` times for each row, and what every objective is made from."""

    mu: Tensor  # (rows, latent_dim)
    logvar: Tensor  # (rows, latent_dim)
    z: Tensor  # (draws, rows, latent_dim)
    log_px_z: Tensor  # (draws, rows)
    log_ratio: Tensor  # (draws, rows) log q(z|x) − log p(z) at z
    kl: Tensor  # (rows, parts) as vae.latents.latents.Draw has it, mean over the draws

    def loss(self, loss: Tensor) -> "Loss":
        """``loss`` with the parts that these draws give."""
        return Loss(loss, self.log_px_z.mean(dim=0), self.kl, self.mu, self.logvar)


@dataclass(frozen=True, eq=False)
class Loss:
    """What a step minimises, and the parts of the ELBO, one value for each row.

    ``loss`` is a scalar with a gradient. ``elbo`` is the bound itself, whatever the objective.
    """

    loss: Tensor
    reconstruction: Tensor  # (batch,) log p(x|z)
    kl_per_latent: Tensor  # (batch, parts), as vae.latents.latents.Draw has them
    mu: Tensor  # (batch, latent_dim)
    logvar: Tensor  # (batch, latent_dim)

    @property
    def kl(self) -> Tensor:
        """KL(q(z|x) ‖ p(z)) of each row, (batch,)."""
        return self.kl_per_latent.sum(dim=1)

    @property
    def elbo(self) -> Tensor:
        """Of each row, (batch,)."""
        return self.reconstruction - self.kl


class Objective(Protocol):
    """The loss on x, (batch, *shape) in units of the data, with noise eps, (noises, batch,
    latent_dim), and the weights that the schedules give.
    """

    noises: int
    of_rows: bool

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, now: Now) -> Loss: ...


def draw(vae: VAE, x: Tensor, eps: Tensor) -> Draws:
    """Encode x once and decode it for every draw: eps is (draws, rows, latent_dim)."""
    flat = vae.preprocess(x)
    mu, logvar = vae.infer(flat)
    drawn = vae.latents.draw(_every(mu, eps), _every(logvar, eps), eps.flatten(0, 1))
    z = drawn.z.view(eps.shape)
    # Decoded by way of z, so that all of the decoder's gradient comes through it.
    log_px_z = vae.likelihood.log_prob(vae.decoder(z.flatten(0, 1)), _every(flat, eps))
    return Draws(
        mu=mu,
        logvar=logvar,
        z=z,
        log_px_z=log_px_z.view(eps.shape[:2]),
        log_ratio=drawn.log_ratio.view(eps.shape[:2]),
        kl=drawn.kl.view(*eps.shape[:2], len(vae.latents.parts)).mean(dim=0),
    )


def _every(rows: Tensor, eps: Tensor) -> Tensor:
    """The rows once for every draw of eps, draws × rows of them; with one draw not copied."""
    return rows.expand(len(eps), *rows.shape).flatten(0, 1)


class ELBO:
    """Reconstruction − β · KL (Kingma and Welling 2014; β: Higgins et al. 2017), a mean over draws.

    ``free_bits`` is the least KL that a latent is charged, in nats, of the mean over the batch
    (Kingma et al. 2016, equation 15): up to there information is free. With a capacity C the KL
    term is |KL − C| of the batch's mean (Burgess et al. 2018, equation 8).
    """

    def __init__(self, *, draws: int = 1, free_bits: float = 0.0, capacity: bool = False) -> None:
        self.noises = draws
        self.of_rows = not (free_bits or capacity)
        self._free_bits = free_bits
        self._capacity = capacity

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, now: Now) -> Loss:
        q = draw(vae, x, eps)
        kl = q.kl.mean(dim=0)
        if self._free_bits:
            kl = at_least(kl, vae.latents.parts, self._free_bits)
        charged = kl.sum()
        if self._capacity:
            charged = (charged - now.capacity).abs()
        return q.loss(now.beta * charged - q.log_px_z.mean())


def at_least(kl: Tensor, parts: Sequence[int], free_bits: float) -> Tensor:
    """The KL of each part, (parts,), and no less than what its latents have for free.

    Parts of as many latents go together: a tensor of what is free would come from the host.
    """
    runs = [(latents, len(list(same))) for latents, same in groupby(parts)]
    pieces = torch.split(kl, [length for _, length in runs])
    return torch.cat(
        [
            piece.clamp(min=free_bits * latents)
            for piece, (latents, _) in zip(pieces, runs, strict=True)
        ]
    )
