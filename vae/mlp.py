"""Fully connected networks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from vae.layers import ResidualBlock, activated_layer
from vae.manifest import Activation


def mlp(widths: Sequence[int], activation: Activation, residual_blocks: int = 0) -> nn.Sequential:
    """Linear layers from (batch, widths[0]) through ``widths`` to (batch, widths[-1]).

    All layers but the last are activated, and each of these is followed by ``residual_blocks``
    residual blocks.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += activated_layer(nn.Linear, inputs, outputs, activation)
        layers += (ResidualBlock(nn.Linear, outputs, activation) for _ in range(residual_blocks))
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))
