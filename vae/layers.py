"""What every network is made of: an activated layer, and a residual block around two of them.

Both work alike on rows, (batch, channels), and on pictures, (batch, channels, height, width).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vae.manifest import Activation


class Gate(nn.Module):
    """a ⊙ σ(b) of the two halves of the channels (Dauphin et al. 2017), so that a layer with it is
    h = A x ⊙ σ(B x), that of Tomczak and Welling 2018.

    torch's own GLU gives the same, and on CPU takes six times as long to go back.
    """

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        return torch.mul(a, torch.sigmoid(b))


Linear = Callable[[int, int], nn.Module]
"""A linear map from as many channels to as many: ``nn.Linear``, or a convolution of some size."""

FUNCTIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "gated": Gate,
}


def function(activation: Activation) -> nn.Module:
    """The activation alone; it takes ``width`` channels."""
    return FUNCTIONS[activation]()


def width(channels: int, activation: Activation) -> int:
    """How many channels ``function`` takes to give ``channels``."""
    return 2 * channels if activation == "gated" else channels


def layer(linear: Linear, inputs: int, outputs: int, activation: Activation) -> list[nn.Module]:
    """A linear map and its activation, together from ``inputs`` channels to ``outputs``."""
    return [linear(inputs, width(outputs, activation)), function(activation)]


class Residual(nn.Module):
    """x + W₂ φ(W₁ x), which is x at first (He et al. 2016; W₂ = 0 as in Zhang et al. 2019)."""

    def __init__(self, linear: Linear, channels: int, activation: Activation) -> None:
        super().__init__()
        last = linear(channels, channels)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.body = nn.Sequential(*layer(linear, channels, channels, activation), last)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.body(x))
