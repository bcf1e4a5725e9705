"""Invertible steps that bend a Gaussian posterior: z to z, with the logarithm of the volume change.

Each step is a function of z and of a context, here the encoder's (mu, logvar), (batch, 2·dim), and
goes from noise to z in one pass. Its inverse, which only the density of a given z would need, is
never asked for: a posterior's density is always that of its own draw.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae.latents.start import start_small
from vae.likelihoods.special import log_sigmoid

START_OPEN = 2.0
"""First value before the sigmoid of a gate: a step begins as little (Kingma et al. 2016)."""


class Step(nn.Module, ABC):
    """One invertible step."""

    @abstractmethod
    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The new z, (batch, dim), and log |det ∂new/∂z| of each row, (batch,)."""


class Autoregressive(Step):
    """z ↦ σ·z + (1 − σ)·m, where (m, σ) of each latent follow from those before it and the context.

    Inverse autoregressive flow, Kingma et al. 2016, equations 13 to 15, with the masked network of
    Germain et al. 2015. ``reverse`` turns the order of the latents around.
    """

    def __init__(self, dim: int, hidden: int, *, reverse: bool) -> None:
        super().__init__()
        order = torch.arange(1, dim + 1)
        order = order.flip(0) if reverse else order
        seen = torch.arange(hidden) * dim // hidden  # latents that a hidden unit may look at
        self.first = Masked(order <= seen[:, None])
        self.context = nn.Linear(2 * dim, hidden, bias=False)
        self.last = Masked((seen < order[:, None]).repeat(2, 1))
        start_small(self.last)

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        hidden = F.elu(self.first(z) + self.context(context))
        mean, gate = self.last(hidden).chunk(2, dim=1)
        log_sigma = log_sigmoid(gate + START_OPEN)
        sigma = log_sigma.exp()
        return sigma * z + (1 - sigma) * mean, log_sigma.sum(dim=1)


class Coupling(Step):
    """Every other latent is shifted and scaled by functions of the rest and the context.

    RealNVP, Dinh et al. 2017, equations 7 and 8; the scale lies between 1/e and e. ``odd`` says
    which half moves.
    """

    moves: Tensor

    def __init__(self, dim: int, hidden: int, *, odd: bool) -> None:
        super().__init__()
        moves = (torch.arange(dim) % 2 == int(odd)).float()
        self.register_buffer("moves", moves, persistent=False)
        self.first = nn.Linear(3 * dim, hidden)
        self.last = nn.Linear(hidden, 2 * dim)
        start_small(self.last)

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        kept = (1 - self.moves) * z
        hidden = F.elu(self.first(torch.cat([kept, context], dim=1)))
        shift, log_scale = self.last(hidden).chunk(2, dim=1)
        log_scale = self.moves * torch.tanh(log_scale)
        moved = self.moves * (z * log_scale.exp() + shift)
        return kept + moved, log_scale.sum(dim=1)


class Masked(nn.Linear):
    """A linear layer with the weights that ``mask``, (outputs, inputs), is true for."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        outputs, inputs = mask.shape
        super().__init__(inputs, outputs)
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.mask * self.weight, self.bias)
