"""Real values: the Gaussian, and where its variance comes from."""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae.likelihoods.base import Likelihood, log_volume

MIN_LOG_VARIANCE = -12.0
"""A variance that can follow one element would go to 0 where that element is constant, and the
density to infinity: σ stays above exp(−6) (Rybkin et al. 2021, section 4)."""


class Gaussian(Likelihood):
    """N(mean, σ²) on each element (Kingma and Welling 2014, appendix C.2)."""

    @abstractmethod
    def parts(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Mean, (batch, size), and log σ² of a shape that broadcasts with it."""

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return _log_normal(x, *self.parts(params))

    def mean(self, params: Tensor) -> Tensor:
        return self.parts(params)[0]

    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        mean, log_variance = self.parts(params)
        eps = torch.randn(mean.shape, generator=noise, device=mean.device)
        return mean + torch.exp(0.5 * log_variance) * eps

    def log_prob_in_units(self, params: Tensor, x: Tensor, scale: Tensor, *, whole: bool) -> Tensor:
        """With ``whole`` E[(x + e − mean)²] is larger by the variance of e, (1 / scale)² / 12."""
        log_px_z = self.log_prob(params, x) - log_volume(scale, x)
        if not whole:
            return log_px_z
        spread = torch.exp(-self.parts(params)[1]) / (24 * scale.square())
        return log_px_z - spread.expand_as(x).sum(dim=1)


class SharedGaussian(Gaussian):
    """One σ² for all elements, fixed or learned with the weights.

    Learned it makes the linear VAE probabilistic PCA (Lucas et al. 2019, section 3) and balances
    the two terms of the ELBO without a hand-set β (Rybkin et al. 2021).
    """

    def __init__(self, variance: float = 1.0, *, learned: bool = False) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.tensor(math.log(variance)), requires_grad=learned)

    def parts(self, params: Tensor) -> tuple[Tensor, Tensor]:
        return params, self.log_variance


class GaussianByElement(Gaussian):
    """σ² learned for each element, whatever z."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(size))

    def parts(self, params: Tensor) -> tuple[Tensor, Tensor]:
        return params, _bounded(self.log_variance)


class OptimalGaussian(SharedGaussian):
    """σ² that maximises the likelihood in closed form: the mean squared error (Rybkin et al. 2021).

    In training that of the batch, so that nothing has to be learned at some rate. Outside, and in
    the exported graph, its running mean over the last hundred batches or so, as batch normalisation
    has it; over all, while they are fewer.
    """

    batches: Tensor
    MEMORY = 100

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("batches", torch.zeros(()))

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        if not self.training:
            return super().log_prob(params, x)
        variance = (x - params).square().mean().clamp(min=math.exp(MIN_LOG_VARIANCE))
        self._remember(variance.detach())
        return _log_normal(x, params, variance.log())

    @torch.no_grad()
    def _remember(self, variance: Tensor) -> None:
        """Without asking the device whether the variance is finite; one that is not is left out."""
        usable = torch.isfinite(variance)
        self.batches += usable
        weight = 1 / self.batches.clamp(1, self.MEMORY)
        running = torch.lerp(self.log_variance.exp(), variance, weight)
        self.log_variance.copy_(torch.where(usable, running.log(), self.log_variance))


class GaussianByDecoder(Gaussian):
    """σ² put out by the decoder beside the mean, for each element and z (appendix C.2)."""

    params_per_element = 2

    def parts(self, params: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = torch.unflatten(params, 1, (-1, 2)).unbind(dim=2)
        return mean, _bounded(log_variance)


def _bounded(log_variance: Tensor) -> Tensor:
    return MIN_LOG_VARIANCE + F.softplus(log_variance - MIN_LOG_VARIANCE)


def _log_normal(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    squared = (x - mean).square() * torch.exp(-log_variance)
    return -0.5 * (squared + log_variance + math.log(2 * math.pi)).sum(dim=1)
