"""What the networks compute in while a model is trained.

In bfloat16 the products of encoder and decoder are, as torch.autocast has it; the weights, what is
between the two, p(x|z) and all sums stay float32 (Micikevicius et al. 2018, whose scaling of the
loss bfloat16, with the exponents of float32, does without). A model is judged and exported in
float32, whatever it was trained in.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from training.config.types import Precision
from vae.networks import VAE


class Mixed(nn.Module):
    """A network whose products are in bfloat16, from float32 to float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, rows: Tensor) -> Tensor:
        with torch.autocast(rows.device.type, torch.bfloat16):
            answer: Tensor = self.network(rows)
        return answer.float()


def computing_in(precision: Precision, vae: VAE) -> VAE:
    """The VAE with its networks in that precision; it shares all weights with ``vae``."""
    if precision != "bfloat16":
        return vae
    return vae.with_networks(Mixed(vae.encoder), Mixed(vae.decoder))


@contextmanager
def rounding(precision: Precision) -> Iterator[None]:
    """Let a GPU round to TF32, where that is the precision, and only meanwhile."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    asked = precision == "tf32"
    _allow_tf32(convolutions=asked, products=asked)
    try:
        yield
    finally:
        convolutions, products = before
        _allow_tf32(convolutions=convolutions, products=products)


def _allow_tf32(*, convolutions: bool, products: bool) -> None:
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.backends.cuda.matmul.allow_tf32 = products
