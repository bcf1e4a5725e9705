"""Invertible steps of a normalising flow: z ↦ z′, with the log-determinant of the Jacobian.

Each step is a function of z and of a context, here the encoder's (mu, logvar), (batch, 2·dim). It
maps noise to z in one pass. The inverse, needed only for the density of an arbitrary z, is not
implemented: the density of a posterior is only evaluated at its own draws.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae.layers import init_near_zero
from vae.likelihoods.special_functions import log_sigmoid

GATE_BIAS = 2.0
"""Added before the sigmoid of a gate, so that a new step is close to the identity. Kingma et al.
2016 recommend an initial value of about 1 or 2."""


class FlowStep(nn.Module, ABC):
    """One invertible step."""

    @abstractmethod
    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """z′, (batch, dim), and log |det ∂z′/∂z| of each row, (batch,).

        ``z`` is (batch, dim) and ``context`` (batch, 2·dim).
        """


class InverseAutoregressive(FlowStep):
    """z ↦ σ ⊙ z + (1 − σ) ⊙ m, where m_i and σ_i are functions of z_<i and the context.

    The gated, numerically stable form of inverse autoregressive flow (Kingma et al. 2016,
    section 4), with σ = sigmoid(s) and the masked network of MADE (Germain et al. 2015). With
    ``reverse`` the latents are ordered from the last to the first.
    """

    def __init__(self, dim: int, hidden: int, *, reverse: bool) -> None:
        super().__init__()
        order = torch.arange(1, dim + 1)
        order = order.flip(0) if reverse else order
        seen = torch.arange(hidden) * dim // hidden  # how many latents each hidden unit depends on
        self.first = MaskedLinear(order <= seen[:, None])
        self.context = nn.Linear(2 * dim, hidden, bias=False)
        self.last = MaskedLinear((seen < order[:, None]).repeat(2, 1))
        init_near_zero(self.last)

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        hidden = F.elu(self.first(z) + self.context(context))
        mean, gate = self.last(hidden).chunk(2, dim=1)
        log_sigma = log_sigmoid(gate + GATE_BIAS)
        sigma = log_sigma.exp()
        return sigma * z + (1 - sigma) * mean, log_sigma.sum(dim=1)


class AffineCoupling(FlowStep):
    """z ↦ b ⊙ z + (1 − b) ⊙ (z ⊙ exp(s) + t), where s and t are functions of b ⊙ z and the context.

    RealNVP (Dinh et al. 2017, equation 9; the determinant follows from equation 6). The mask b
    keeps every other latent: with ``odd`` those with even indices, so that the odd ones change.
    s = tanh(·), so that one step scales by a factor between 1/e and e.
    """

    moves: Tensor

    def __init__(self, dim: int, hidden: int, *, odd: bool) -> None:
        super().__init__()
        moves = (torch.arange(dim) % 2 == int(odd)).float()  # 1 − b
        self.register_buffer("moves", moves, persistent=False)
        self.first = nn.Linear(3 * dim, hidden)
        self.last = nn.Linear(hidden, 2 * dim)
        init_near_zero(self.last)

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        kept = (1 - self.moves) * z
        hidden = F.elu(self.first(torch.cat([kept, context], dim=1)))
        shift, log_scale = self.last(hidden).chunk(2, dim=1)
        log_scale = self.moves * torch.tanh(log_scale)
        moved = self.moves * (z * log_scale.exp() + shift)
        return kept + moved, log_scale.sum(dim=1)


class MaskedLinear(nn.Linear):
    """A linear layer that uses only the weights where ``mask``, (outputs, inputs), is true."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        outputs, inputs = mask.shape
        super().__init__(inputs, outputs)
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.mask * self.weight, self.bias)
