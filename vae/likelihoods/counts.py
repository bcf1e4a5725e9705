"""Counts: 0, 1, 2 and so on without end, as they are in the data.

Both in the saddle-point form of Loader 2000, in which large counts do not cancel, and ONNX needs no
Γ function. A value that is no count is taken for the nearest one.
"""

import torch
from torch import Tensor, nn

from vae.likelihoods.base import Likelihood
from vae.likelihoods.special import deviance, log_ratio, stirling_excess

MAX_LOG_RATE = 30.0
MIN_LOG_DISPERSION, MAX_LOG_DISPERSION = -10.0, 15.0


class Poisson(Likelihood):
    """Counts with mean and variance exp(params)."""

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        k = _count(x)
        return -(deviance(k, self.mean(params)) + stirling_excess(k)).sum(dim=1)

    def mean(self, params: Tensor) -> Tensor:
        return params.clamp(-MAX_LOG_RATE, MAX_LOG_RATE).exp()

    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        return torch.poisson(self.mean(params), generator=noise)


class NegativeBinomial(Likelihood):
    """Counts with mean m = exp(params) and variance m + m² / r, r learned for each element.

    A Poisson variable whose rate is Γ-distributed with shape r (Lopez et al. 2018 for the
    expression of genes).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_r = nn.Parameter(torch.zeros(size))

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """(k + r) log((k + r) / (m + r)) − k log(k / m), and what Stirling's formula leaves."""
        k, m, r = _count(x), self.mean(params), self._r()
        some = k.clamp(min=1e-10)
        log_p = r * log_ratio(k + r, m + r, k - m)
        log_p = log_p + some * log_ratio(m * (some + r), some * (m + r), r * (m - some))
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
    """x ↦ log(1 + x), what an encoder sees of counts (Lopez et al. 2018)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.log1p(x.clamp(min=0))


def _count(x: Tensor) -> Tensor:
    return x.round().clamp(min=0)
