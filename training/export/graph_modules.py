"""The graphs of a bundle as torch modules, to be exported."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from vae.graphs import DECODER, ENCODER, POSTERIOR, PRIOR, SCORER
from vae.networks import VAE


class Encoder(nn.Module):
    """x → mu, logvar."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.vae.given(c).encode(x)


class Decoder(nn.Module):
    """z → mean of p(x|z)."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.vae.given(c).decode(z)


class Scorer(nn.Module):
    """x, z → log p(x|z)."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.vae.given(c).log_px_z(x, z)


class Posterior(nn.Module):
    """mu, logvar, eps → a draw of q(z|x) and its KL."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        return self.vae.posterior(mu, logvar, eps)


class Prior(nn.Module):
    """noise, temperature → a draw of p(z)."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, noise: Tensor, temperature: Tensor) -> Tensor:
        return self.vae.prior(noise, temperature)


MODULES: Mapping[str, Callable[[VAE], nn.Module]] = {
    ENCODER.name: Encoder,
    DECODER.name: Decoder,
    SCORER.name: Scorer,
    POSTERIOR.name: Posterior,
    PRIOR.name: Prior,
}
