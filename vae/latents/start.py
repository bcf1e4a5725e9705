"""How networks of the latents begin: as if they were not there."""

from torch import nn

DEVIATION = 0.01


def start_small(layer: nn.Linear) -> None:
    """Let a network's last layer put out nearly 0, but let what is before it learn."""
    nn.init.normal_(layer.weight, std=DEVIATION)
    nn.init.zeros_(layer.bias)
