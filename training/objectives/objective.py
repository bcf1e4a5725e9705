"""The interface of an objective, and what all objectives share: z ~ q(z|x) and log p(x|z).

An objective maps a batch to a Loss. All terms are in nats.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from training.objectives.schedules import ScheduledValues
from vae.networks import VAE


@dataclass(frozen=True, eq=False)
class PosteriorSamples:
    """z ~ q(z|x), ``draws`` times for each row, with the terms of the objectives."""

    mu: Tensor  # (rows, latent_dim)
    logvar: Tensor  # (rows, latent_dim)
    z: Tensor  # (draws, rows, latent_dim)
    log_px_z: Tensor  # (draws, rows)
    log_ratio: Tensor  # (draws, rows) log q(z|x) − log p(z) at z
    kl: Tensor  # (rows, parts) as vae.latents.latents.Draw has it, mean over the draws

    def to_loss(self, loss: Tensor) -> "Loss":
        """A Loss with the reconstruction and KL of these samples."""
        return Loss(loss, self.log_px_z.mean(dim=0), self.kl, self.mu, self.logvar)


@dataclass(frozen=True, eq=False)
class Loss:
    """The scalar that a step minimises, and the terms of the ELBO for each row.

    ``elbo`` is the evidence lower bound itself, whatever the objective is.
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
        """The ELBO of each row, (batch,)."""
        return self.reconstruction - self.kl


class Objective(Protocol):
    """The loss of x, (batch, *shape) in units of the data, with noise eps, (noise_samples, batch,
    latent_dim), and the scheduled weights.

    ``noise_samples`` is the number of noise vectors that a row needs. ``averages_rows`` says that
    the loss is a mean over rows, so that the gradient of a batch is the mean over its slices.
    """

    noise_samples: int
    averages_rows: bool

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, scheduled: ScheduledValues) -> Loss: ...


def sample_posterior(vae: VAE, x: Tensor, eps: Tensor) -> PosteriorSamples:
    """Encode x once and decode every draw; eps is (draws, rows, latent_dim)."""
    flat = vae.preprocess(x)
    mu, logvar = vae.infer(flat)
    drawn = vae.latents.sample_posterior(
        _repeat_rows(mu, eps), _repeat_rows(logvar, eps), eps.flatten(0, 1)
    )
    z = drawn.z.view(eps.shape)
    # Decode from this view of z, so that the whole gradient of the decoder passes through it.
    log_px_z = vae.likelihood.log_prob(vae.decoder(z.flatten(0, 1)), _repeat_rows(flat, eps))
    return PosteriorSamples(
        mu=mu,
        logvar=logvar,
        z=z,
        log_px_z=log_px_z.view(eps.shape[:2]),
        log_ratio=drawn.log_ratio.view(eps.shape[:2]),
        kl=drawn.kl.view(*eps.shape[:2], len(vae.latents.parts)).mean(dim=0),
    )


def _repeat_rows(rows: Tensor, eps: Tensor) -> Tensor:
    """Repeat the rows for every draw: (draws × rows, …). One draw needs no copy."""
    return rows.expand(len(eps), *rows.shape).flatten(0, 1)
