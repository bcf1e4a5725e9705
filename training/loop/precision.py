"""The precision in which the networks compute during training.

With bfloat16, torch.autocast runs the matrix products of encoder and decoder in bfloat16. Weights,
latents, p(x|z) and all sums stay float32. Loss scaling (Micikevicius et al. 2018) is not needed,
because bfloat16 has the exponent range of float32. A model is always evaluated and exported in
float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from training.config.types import Precision
from training.system.device import set_tf32, tf32_enabled
from vae.networks import VAE


class BFloat16Network(nn.Module):
    """A network that computes matrix products in bfloat16; inputs and outputs are float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, rows: Tensor) -> Tensor:
        with torch.autocast(rows.device.type, torch.bfloat16):
            output: Tensor = self.network(rows)
        return output.float()


def with_precision(precision: Precision, vae: VAE) -> VAE:
    """The VAE with networks that compute in ``precision``; it shares all weights with ``vae``."""
    if precision != "bfloat16":
        return vae
    return vae.with_networks(BFloat16Network(vae.encoder), BFloat16Network(vae.decoder))


@contextmanager
def tf32_if_requested(precision: Precision) -> Iterator[None]:
    """Let a GPU round to TF32 inside the block if ``precision`` is tf32, else forbid it."""
    before = tf32_enabled()
    set_tf32(*[precision == "tf32"] * 2)
    try:
        yield
    finally:
        set_tf32(*before)
