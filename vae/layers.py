"""Building blocks of all networks: activations, activated layers, residual blocks, initialisation.

They work on rows, (batch, channels), and on images, (batch, channels, height, width).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vae.manifest import Activation


class GatedLinearUnit(nn.Module):
    """a ⊙ σ(b), where a and b are the two halves of the channels (Dauphin et al. 2017, equation 1).

    Maps (batch, 2·channels, …) to (batch, channels, …). ``torch.nn.GLU`` computes the same, but its
    backward pass takes six times as long on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        return torch.mul(a, torch.sigmoid(b))


LinearFactory = Callable[[int, int], nn.Module]
"""Makes a linear map from input channels to output channels: ``nn.Linear``, or a convolution."""

ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "gated": GatedLinearUnit,
}


def activation_function(activation: Activation) -> nn.Module:
    """The activation as a module; its input has ``activation_inputs`` channels."""
    return ACTIVATIONS[activation]()


def activation_inputs(channels: int, activation: Activation) -> int:
    """The number of channels that the activation needs as input to put out ``channels``."""
    return 2 * channels if activation == "gated" else channels


def activated_layer(
    linear: LinearFactory, inputs: int, outputs: int, activation: Activation
) -> list[nn.Module]:
    """A linear map and its activation, together from ``inputs`` to ``outputs`` channels."""
    return [linear(inputs, activation_inputs(outputs, activation)), activation_function(activation)]


class ResidualBlock(nn.Module):
    """x + W₂ φ(W₁ x), where φ is the activation (He et al. 2016).

    W₂ and its bias start at 0, so that a new block is the identity (Zhang et al. 2019). Input and
    output have ``channels`` channels.
    """

    def __init__(self, linear: LinearFactory, channels: int, activation: Activation) -> None:
        super().__init__()
        last = linear(channels, channels)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.body = nn.Sequential(*activated_layer(linear, channels, channels, activation), last)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.body(x))


def init_near_zero(layer: nn.Linear) -> None:
    """Initialise the last layer of a network so that its outputs are close to 0.

    The weights are small and not 0, so that the layers before it receive gradients.
    """
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
