"""The evidence lower bound (Kingma and Welling 2014) and its parts, in nats."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vae.networks import VAE


@dataclass(frozen=True, eq=False)
class Loss:
    """What a step minimises, and the parts it is made of, one value for each row.

    ``loss`` is a scalar with a gradient, the mean of beta · KL − reconstruction. With beta 1 it is
    minus the mean ELBO; ``elbo`` is the bound itself, whatever beta.
    """

    loss: Tensor
    reconstruction: Tensor  # (batch,) log p(x|z)
    kl_per_latent: Tensor  # (batch, latent_dim)

    @property
    def kl(self) -> Tensor:
        """KL(q(z|x) ‖ p(z)) of each row, (batch,)."""
        return self.kl_per_latent.sum(dim=1)

    @property
    def elbo(self) -> Tensor:
        """Of each row, (batch,)."""
        return self.reconstruction - self.kl


def reparameterise(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """z = mu + σ·eps, a draw from q(z|x) where eps is one from N(0, I) (section 2.4)."""
    return mu + torch.exp(0.5 * logvar) * eps


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, σ²) ‖ N(0, 1)) of each latent in closed form (appendix B), shaped like mu."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def elbo(vae: VAE, x: Tensor, eps: Tensor, beta: float = 1.0) -> Loss:
    """The loss on x, (batch, *shape) in units of the data, with noise eps, (batch, latent_dim).

    beta weighs the KL term (Higgins et al. 2017).
    """
    flat = vae.preprocess(x)
    mu, logvar = vae.encoder(flat).chunk(2, dim=1)
    z = reparameterise(mu, logvar, eps)
    reconstruction = vae.likelihood.log_prob(vae.decoder(z), flat)
    kl = kl_divergence(mu, logvar)
    loss = (beta * kl.sum(dim=1) - reconstruction).mean()
    return Loss(loss, reconstruction, kl)


def annealed_beta(beta: float, step: int, anneal_steps: float) -> float:
    """beta at ``step``, counted from 0: a straight line that reaches beta after ``anneal_steps``.

    A low weight at first lets the decoder learn to use z before the KL term can switch latents off
    (Bowman et al. 2016, section 3.1).
    """
    return beta if step >= anneal_steps else beta * step / anneal_steps
