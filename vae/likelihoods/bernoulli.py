"""Likelihoods of values from 0 to 1: Bernoulli and continuous Bernoulli."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vae.likelihoods.base import Likelihood, log_scale_volume
from vae.likelihoods.special_functions import langevin, log_sinhc


class ContinuousBernoulli(Likelihood):
    """p(x) ∝ λˣ (1 − λ)¹⁻ˣ on [0, 1] (Loaiza-Ganem and Cunningham 2019).

    ``params`` are the logits η of λ. As an exponential family, log p(x) = xη − A(η) with
    A(η) = log((exp η − 1) / η), and the mean is A′(η). Near λ = ½ both are computed by series.
    """

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return (x * params - _log_partition(params)).sum(dim=1)

    def mean(self, params: Tensor) -> Tensor:
        return 0.5 + 0.5 * langevin(params / 2)

    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        """By the inverse of the distribution function for η < 0, mirrored for η > 0."""
        u = torch.rand(params.shape, generator=noise, device=params.device)
        size = params.abs().clamp(min=1e-4)
        x = -torch.log1p(u * torch.expm1(-size)) / size
        return torch.where(params > 0, 1 - x, x)

    def log_prob_in_data_units(
        self, params: Tensor, x: Tensor, scale: Tensor, *, whole: bool
    ) -> Tensor:
        """With ``whole`` the cells of the lowest and highest numbers are cut off at 0 and 1."""
        if not whole:
            return self.log_prob(params, x) - log_scale_volume(scale, x)
        low, high = (x - 0.5 / scale).clamp(min=0), (x + 0.5 / scale).clamp(max=1)
        return self.log_prob(params, (low + high) / 2) + (high - low).log().sum(dim=1)


class Bernoulli(Likelihood):
    """Independent Bernoulli variables from logits (Kingma and Welling 2014, appendix C.1).

    For x strictly between 0 and 1 ``log_prob`` is the usual cross-entropy, which is not normalised.
    """

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        # Summing the two terms separately writes and reads one large array less.
        return (x * params).sum(dim=1) - F.softplus(params).sum(dim=1)

    def mean(self, params: Tensor) -> Tensor:
        return torch.sigmoid(params)

    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        return torch.bernoulli(torch.sigmoid(params), generator=noise)

    def log_prob_in_data_units(
        self, params: Tensor, x: Tensor, scale: Tensor, *, whole: bool
    ) -> Tensor:
        """If any value lies strictly between 0 and 1, that of the continuous Bernoulli.

        Normalising the cross-entropy on [0, 1] gives the continuous Bernoulli.
        """
        if ((x == 0) | (x == 1)).all():
            return self.log_prob(params, x)
        return ContinuousBernoulli().log_prob_in_data_units(params, x, scale, whole=whole)


def _log_partition(eta: Tensor) -> Tensor:
    """log((exp(η) − 1) / η)."""
    return eta / 2 + log_sinhc(eta / 2)
