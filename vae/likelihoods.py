"""p(x|z): how the decoder's output becomes a distribution over x. One small class each.

All work on flattened rows in the model's space, that is after preprocessing: ``params`` and ``x``
are (batch, size). Log-probabilities are in nats, normalised, and summed over a row.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae import manifest


class Likelihood(nn.Module, ABC):
    """A distribution over x whose parameters the decoder puts out, one for each element."""

    @abstractmethod
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) of each row in nats: (batch, size) and (batch, size) to (batch,)."""

    @abstractmethod
    def mean(self, params: Tensor) -> Tensor:
        """E[x|z]: (batch, size) to (batch, size)."""


class Bernoulli(Likelihood):
    """Independent Bernoulli variables from logits (Kingma and Welling 2014, appendix C.1).

    For x strictly between 0 and 1 this is the cross-entropy in common use, which is not normalised.
    """

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return (x * params - F.softplus(params)).sum(dim=1)

    def mean(self, params: Tensor) -> Tensor:
        return torch.sigmoid(params)


class Gaussian(Likelihood):
    """N(mean, σ²) on each element (Kingma and Welling 2014, appendix C.2).

    σ is 1, or one number shared by all elements and learned with the weights. A learned σ makes the
    linear VAE probabilistic PCA (Lucas et al. 2019, section 3) and balances the two terms of the
    ELBO without a hand-set β (Rybkin et al. 2021).
    """

    def __init__(self, *, learned: bool) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(()), requires_grad=learned)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        squared = (x - params).square() * torch.exp(-self.log_variance)
        return -0.5 * (squared + self.log_variance + math.log(2 * math.pi)).sum(dim=1)

    def mean(self, params: Tensor) -> Tensor:
        return params


def build(spec: manifest.Likelihood) -> Likelihood:
    """The module for the manifest's likelihood section."""
    if isinstance(spec, manifest.Bernoulli):
        return Bernoulli()
    return Gaussian(learned=spec.variance == "learned")
