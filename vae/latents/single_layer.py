"""Latents without hierarchy: one posterior and one prior over all of z."""

from torch import Tensor

from vae.latents.base import Latents, PosteriorDraw
from vae.latents.diagonal_gaussian import kl_to_standard_normal
from vae.latents.posteriors import Posterior
from vae.latents.priors import Prior
from vae.latents.reparameterisation import reparameterise


class ClosedFormLatents(Latents):
    """A diagonal Gaussian posterior and a standard normal prior (Kingma and Welling 2014).

    The KL of each latent has a closed form (appendix B of the paper).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.noise_dim = dim
        self.parts = (1,) * dim

    def sample_posterior(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> PosteriorDraw:
        z = reparameterise(mu, logvar, eps)
        # log q − log p: the constants of the two Gaussians cancel.
        log_ratio = 0.5 * (z.square() - eps.square() - logvar).sum(dim=1)
        return PosteriorDraw(z, kl_to_standard_normal(mu, logvar), log_ratio)

    def sample_prior(self, noise: Tensor, temperature: Tensor) -> Tensor:
        return temperature[:, None] * noise

    def frozen(self) -> Latents:
        return self


class MonteCarloLatents(Latents):
    """Any posterior with any prior. The KL is estimated at the draw, for all latents together."""

    def __init__(self, dim: int, posterior: Posterior, prior: Prior) -> None:
        super().__init__()
        self.noise_dim = prior.noise_dim
        self.parts = (dim,)
        self.posterior, self.prior = posterior, prior

    def sample_posterior(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> PosteriorDraw:
        z, log_qz = self.posterior(mu, logvar, eps)
        log_ratio = log_qz - self.prior.log_prob(z)
        return PosteriorDraw(z, log_ratio[:, None], log_ratio)

    def sample_prior(self, noise: Tensor, temperature: Tensor) -> Tensor:
        return self.prior.sample(noise, temperature)

    def frozen(self) -> Latents:
        return MonteCarloLatents(self.parts[0], self.posterior, self.prior.frozen())
