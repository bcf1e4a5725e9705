"""Fully connected networks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from vae.layers import Residual, layer
from vae.manifest import Activation


def perceptron(
    widths: Sequence[int], activation: Activation, residual_blocks: int = 0
) -> nn.Sequential:
    """Linear layers through ``widths``, activated but the last, (batch, widths[0]) to
    (batch, widths[-1]); each activated one is followed by ``residual_blocks``.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += layer(nn.Linear, inputs, outputs, activation)
        layers += (Residual(nn.Linear, outputs, activation) for _ in range(residual_blocks))
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))
