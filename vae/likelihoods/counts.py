"""Likelihoods of counts, 0, 1, 2, … without an upper limit: Poisson and negative binomial.

Both use the saddle-point form of Loader 2000, in which the terms of large counts do not cancel and
no Γ function is needed, which ONNX lacks. Values that are not counts are rounded to the nearest
count. Counts are not scaled in preprocessing.
"""

import torch
from torch import Tensor, nn

from vae.likelihoods.base import Likelihood
from vae.likelihoods.special_functions import deviance, log_ratio, stirling_excess

MAX_LOG_RATE = 30.0
MIN_LOG_DISPERSION, MAX_LOG_DISPERSION = -10.0, 15.0


class Poisson(Likelihood):
    """Counts with mean and variance exp(params).

    log p(k) = −deviance(k, m) − stirling_excess(k), the saddle-point form.
    """

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        k = _count(x)
        return -(deviance(k, self.mean(params)) + stirling_excess(k)).sum(dim=1)

    def mean(self, params: Tensor) -> Tensor:
        return params.clamp(-MAX_LOG_RATE, MAX_LOG_RATE).exp()

    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        return torch.poisson(self.mean(params), generator=noise)


class NegativeBinomial(Likelihood):
    """Counts with mean m = exp(params) and variance m + m²/r, where r is learned for each element.

    It is a Poisson variable whose rate is Γ-distributed with shape r (Lopez et al. 2018, who use it
    for gene expression).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_r = nn.Parameter(torch.zeros(size))

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """(k + r) log((k + r) / (m + r)) − k log(k / m) − log(1 + k / r) and Stirling excesses."""
        k, m, r = _count(x), self.mean(params), self._r()
        positive = k.clamp(min=1e-10)
        # Regrouped as r log((k + r) / (m + r)) + k log(m (k + r) / (k (m + r))).
        log_p = r * log_ratio(k + r, m + r, k - m)
        log_p = log_p + positive * log_ratio(
            m * (positive + r), positive * (m + r), r * (m - positive)
        )
        excess = stirling_excess(k + r) - stirling_excess(r) - stirling_excess(k)
        return (log_p + excess - torch.log1p(k / r)).sum(dim=1)

    def mean(self, params: Tensor) -> Tensor:
        return params.clamp(-MAX_LOG_RATE, MAX_LOG_RATE).exp()

    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        m, r = self.mean(params), self._r()
        shape = r.expand_as(m).contiguous()
        return torch.poisson(torch._standard_gamma(shape, generator=noise) / r * m, generator=noise)

    def _r(self) -> Tensor:
        return self.log_r.clamp(MIN_LOG_DISPERSION, MAX_LOG_DISPERSION).exp()


class LogCounts(nn.Module):
    """x ↦ log(1 + x): the encoder's input for counts (Lopez et al. 2018)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.log1p(x.clamp(min=0))


def _count(x: Tensor) -> Tensor:
    return x.round().clamp(min=0)
