"""The graphs of a bundle as torch modules."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from vae.graphs import DECODER, ENCODER, POSTERIOR, PRIOR, SCORER
from vae.networks import VAE


class GraphModule(nn.Module):
    """A module that computes one graph of a VAE."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae


class EncoderModule(GraphModule):
    """x → mu, logvar."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.vae.conditioned_on(c).encode(x)


class DecoderModule(GraphModule):
    """z → mean of p(x|z)."""

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.vae.conditioned_on(c).decode(z)


class ScorerModule(GraphModule):
    """x, z → log p(x|z)."""

    def forward(self, x: Tensor, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.vae.conditioned_on(c).log_px_z(x, z)


class PosteriorModule(GraphModule):
    """mu, logvar, eps → a draw of q(z|x) and its KL."""

    def forward(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        return self.vae.posterior(mu, logvar, eps)


class PriorModule(GraphModule):
    """noise, temperature → a draw of p(z)."""

    def forward(self, noise: Tensor, temperature: Tensor) -> Tensor:
        return self.vae.prior(noise, temperature)


MODULES: Mapping[str, Callable[[VAE], GraphModule]] = {
    ENCODER.name: EncoderModule,
    DECODER.name: DecoderModule,
    SCORER.name: ScorerModule,
    POSTERIOR.name: PosteriorModule,
    PRIOR.name: PriorModule,
}
