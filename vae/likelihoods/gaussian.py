"""Gaussian likelihoods of real values, which differ in where the variance comes from."""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae.likelihoods.base import Likelihood, log_scale_volume

MIN_LOG_VARIANCE = -12.0
"""Lower bound of log σ² where σ² belongs to one element, which is σ ≥ exp(−6).

The variance of a constant element would go to 0 and its density to infinity (Rybkin et al. 2021,
who use the same soft bound).
"""


class Gaussian(Likelihood):
    """N(mean, σ²) on each element (Kingma and Welling 2014, appendix C.2)."""

    @abstractmethod
    def mean_and_log_variance(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """The mean, (batch, size), and log σ² in a shape that broadcasts with it."""

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return _log_normal(x, *self.mean_and_log_variance(params))

    def mean(self, params: Tensor) -> Tensor:
        return self.mean_and_log_variance(params)[0]

    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        mean, log_variance = self.mean_and_log_variance(params)
        eps = torch.randn(mean.shape, generator=noise, device=mean.device)
        return mean + torch.exp(0.5 * log_variance) * eps

    def log_prob_in_data_units(
        self, params: Tensor, x: Tensor, scale: Tensor, *, whole: bool
    ) -> Tensor:
        """With ``whole``, E[(x + e − mean)²] adds the variance of e, (1 / scale)² / 12."""
        log_px_z = self.log_prob(params, x) - log_scale_volume(scale, x)
        if not whole:
            return log_px_z
        _, log_variance = self.mean_and_log_variance(params)
        spread = torch.exp(-log_variance) / (24 * scale.square())
        return log_px_z - spread.expand_as(x).sum(dim=1)


class SharedGaussian(Gaussian):
    """One σ² for all elements, fixed at ``variance`` or learned from there with the weights.

    With a learned σ² the linear VAE is probabilistic PCA (Lucas et al. 2019, section 3), and the
    two terms of the ELBO are balanced without a β set by hand (Rybkin et al. 2021).
    """

    def __init__(self, variance: float = 1.0, *, learned: bool = False) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.tensor(math.log(variance)), requires_grad=learned)

    def mean_and_log_variance(self, params: Tensor) -> tuple[Tensor, Tensor]:
        return params, self.log_variance


class PerElementGaussian(Gaussian):
    """σ² learned for each of ``size`` elements, independent of z."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(size))

    def mean_and_log_variance(self, params: Tensor) -> tuple[Tensor, Tensor]:
        return params, _soft_bounded(self.log_variance)


class OptimalGaussian(SharedGaussian):
    """The σ² that maximises the likelihood: the mean squared error (Rybkin et al. 2021).

    In training it is the error of the batch, so that nothing has to be learned. In evaluation, and
    in the exported graph, it is the running mean over about the last 100 batches, as in batch
    normalisation, or over all batches while there are fewer.
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
        self._update_running_mean(variance.detach())
        return _log_normal(x, params, variance.log())

    @torch.no_grad()
    def _update_running_mean(self, variance: Tensor) -> None:
        """Skips a variance that is not finite, without waiting for the device to know it."""
        usable = torch.isfinite(variance)
        self.batches += usable
        weight = 1 / self.batches.clamp(1, self.MEMORY)
        running = torch.lerp(self.log_variance.exp(), variance, weight)
        self.log_variance.copy_(torch.where(usable, running.log(), self.log_variance))


class DecoderVarianceGaussian(Gaussian):
    """σ² from the decoder, for each element and z (Kingma and Welling 2014, appendix C.2).

    ``params`` holds the mean and log σ² of each element.
    """

    params_per_element = 2

    def mean_and_log_variance(self, params: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = torch.unflatten(params, 1, (-1, 2)).unbind(dim=2)
        return mean, _soft_bounded(log_variance)


def _soft_bounded(log_variance: Tensor) -> Tensor:
    """A smooth max(log_variance, MIN_LOG_VARIANCE)."""
    return MIN_LOG_VARIANCE + F.softplus(log_variance - MIN_LOG_VARIANCE)


def _log_normal(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(x; mean, σ²), summed over the elements of each row, (batch,)."""
    squared = (x - mean).square() * torch.exp(-log_variance)
    return -0.5 * (squared + log_variance + math.log(2 * math.pi)).sum(dim=1)
