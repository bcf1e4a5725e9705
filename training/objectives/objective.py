"""What training minimises: draws from q(z|x), the evidence lower bound and its variants, in nats.

An objective is called on a batch and gives a Loss. It says how much noise a row takes, and whether
its loss is a mean over rows: only then is the gradient of a large batch the mean of its parts'.
"""

from dataclasses import dataclass
from typing import Protocol

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
