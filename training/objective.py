"""The evidence lower bound (Kingma and Welling 2014) and its parts, in nats."""

from dataclasses import dataclass

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
    kl_per_latent: Tensor  # (batch, parts), as vae.latents.latents.Draw has them

    @property
    def kl(self) -> Tensor:
        """KL(q(z|x) ‖ p(z)) of each row, (batch,)."""
        return self.kl_per_latent.sum(dim=1)

    @property
    def elbo(self) -> Tensor:
        """Of each row, (batch,)."""
        return self.reconstruction - self.kl


def elbo(vae: VAE, x: Tensor, eps: Tensor, beta: float = 1.0) -> Loss:
    """The loss on x, (batch, *shape) in units of the data, with noise eps, (batch, latent_dim).

    beta weighs the KL term (Higgins et al. 2017).
    """
    flat = vae.preprocess(x)
    draw = vae.latents.draw(*vae.infer(flat), eps)
    reconstruction = vae.likelihood.log_prob(vae.decoder(draw.z), flat)
    loss = (beta * draw.kl.sum(dim=1) - reconstruction).mean()
    return Loss(loss, reconstruction, draw.kl)


def annealed_beta(beta: float, step: int, anneal_steps: float) -> float:
    """beta at ``step``, counted from 0: a straight line that reaches beta after ``anneal_steps``.

    A low weight at first lets the decoder learn to use z before the KL term can switch latents off
    (Bowman et al. 2016, section 3.1).
    """
    return beta if step >= anneal_steps else beta * step / anneal_steps
