"""The reparameterisation trick: z as a differentiable function of mu, logvar and noise.

``logvar`` is log σ², as everywhere in the project. Densities are in nats.
"""

import torch
from torch import Tensor

from vae.latents.diagonal_gaussian import log_standard_normal


def reparameterise(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """z = mu + σ ⊙ eps: a draw from N(mu, diag(σ²)) if eps is a draw from N(0, I).

    The arguments broadcast; the result has their common shape. Kingma and Welling 2014, section 2.4
    (the example for the univariate Gaussian) and equation 10 (the diagonal Gaussian).
    """
    return mu + torch.exp(0.5 * logvar) * eps


def log_prob_of_draw(logvar: Tensor, eps: Tensor) -> Tensor:
    """log N(z; mu, σ²) of each element at z = reparameterise(mu, logvar, eps), in nats.

    It is log N(eps; 0, 1) − log σ: (z − mu) / σ is eps, and computing it from z would lose digits.
    """
    return log_standard_normal(eps) - 0.5 * logvar
