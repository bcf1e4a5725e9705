"""The variational autoencoder, built from the manifest's sections.

Shapes: x is (batch, *shape) in the units of the data; everything between preprocessing and the
likelihood works on flattened rows, (batch, size), in the order of x.
"""

import copy
from functools import partial

import torch
from torch import Tensor, nn

from vae.autoregressive import Autoregressive
from vae.condition import ConditionalEncoder, Given
from vae.convolutional import ConvDecoder, ConvEncoder
from vae.latents.build import build as build_latents
from vae.likelihoods.base import Likelihood
from vae.likelihoods.build import build as build_likelihood
from vae.likelihoods.counts import LogCounts
from vae.manifest import COUNTS, MLP, Conv, ModelSpec, Preprocessing, Vector
from vae.perceptron import perceptron


class VAE(nn.Module):
    """Encoder, latents, decoder and likelihood p(x|z), with the preprocessing in the graph.

    ``encode``, ``decode``, ``log_px_z``, ``posterior`` and ``prior`` are the graphs of a bundle, in
    the units of the data; training works on the parts.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.preprocess = Preprocess(spec.preprocessing)
        self.likelihood = _build_likelihood(spec)
        self.encoder, self.decoder = _build_networks(spec, self.likelihood.params_per_element)
        if spec.likelihood.kind in COUNTS:
            self.encoder = nn.Sequential(LogCounts(), self.encoder)
        if spec.condition:
            self.encoder = ConditionalEncoder(
                self.encoder, outputs=2 * spec.latent_dim, condition_dim=spec.condition_dim
            )
        self.told = _told(spec)
        self.latents = build_latents(spec, self.infer)

    def infer(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar, each (batch, latent_dim), of preprocessed rows, (batch, size)."""
        mu, logvar = self.encoder(flat).chunk(2, dim=1)
        return mu, logvar

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar, each (batch, latent_dim); of q(z|x) where that is diagonal."""
        return self.infer(self.preprocess(x))

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x|z), (batch, *shape): a posterior-mean picture, not a draw from p(x|z).

        Of an autoregressive p(x|z) it is the path of the conditional means: Autoregressive.mean.
        """
        mean = self.likelihood.mean(self.decoder(z))
        return self.preprocess.invert(mean).reshape(-1, *self.spec.input.shape)

    def log_px_z(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats of the preprocessed x, (batch,)."""
        return self.likelihood.log_prob(self.decoder(z), self.preprocess(x))

    def log_px_z_in_units(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats of x in the units of the data, (batch,).

        A mass where x are whole numbers, and comparable between likelihoods and scalings; see
        Likelihood.log_prob_in_units.
        """
        whole = self.spec.input.dtype == "uint8"
        params, flat = self.decoder(z), self.preprocess(x)
        return self.likelihood.log_prob_in_units(params, flat, self.preprocess.scale, whole=whole)

    def posterior(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """z ~ q(z|x), (batch, latent_dim), and the draw's KL from p(z) in nats, (batch,)."""
        draw = self.latents.draw(mu, logvar, eps)
        return draw.z, draw.kl.sum(dim=1)

    def prior(self, noise: Tensor, temperature: Tensor) -> Tensor:
        """z ~ p(z) from noise, (batch, noise_dim), with deviations times temperature, (batch,)."""
        return self.latents.sample(noise, temperature)

    def given(self, c: Tensor | None) -> "VAE":
        """The VAE of p(x|c) for rows with these conditions, (rows, condition_dim).

        It shares all weights with this one, and is this one where the model has no condition.
        """
        if self.spec.condition is None or c is None:
            return self
        c = self.told(c)
        return self.with_networks(Given(self.encoder, c), Given(self.decoder, c))

    def with_networks(self, encoder: nn.Module, decoder: nn.Module) -> "VAE":
        """The same VAE by way of these networks. It shares all else with this one."""
        other = copy.copy(self)
        other._modules = {**self._modules, "encoder": encoder, "decoder": decoder}
        return other

    def settled(self) -> "VAE":
        """A copy for weights that no longer change: what depends on them alone is computed once.

        It is in evaluation mode.
        """
        settled = copy.deepcopy(self)
        settled.latents = settled.latents.settled()
        return settled.eval()


class Preprocess(nn.Module):
    """x ↦ (x − shift) / scale on flattened rows. A shift of 0 costs nothing."""

    shift: Tensor
    scale: Tensor

    def __init__(self, spec: Preprocessing) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(spec.shift))
        self.register_buffer("scale", torch.tensor(spec.scale))
        self._shifts = any(spec.shift)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return (flat - self.shift if self._shifts else flat) / self.scale

    def invert(self, x: Tensor) -> Tensor:
        """From the model's space back to the units of the data."""
        scaled: Tensor = x * self.scale
        return scaled + self.shift if self._shifts else scaled


def _told(spec: ModelSpec) -> nn.Module:
    """What the networks are told of a condition in the units of the data."""
    if isinstance(spec.condition, Vector):
        return Preprocess(spec.condition.preprocessing)
    return nn.Identity()


def _build_likelihood(spec: ModelSpec) -> Likelihood:
    likelihood = build_likelihood(spec)
    if spec.autoregression is None:
        return likelihood
    scale = LogCounts() if spec.likelihood.kind in COUNTS else nn.Identity()
    return Autoregressive(spec.autoregression, spec.input, likelihood, scale)


def _build_networks(spec: ModelSpec, per_element: int) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder; the latter puts out ``per_element`` numbers for each element of x."""
    network = spec.network
    match network:
        case MLP():
            widths = (spec.input.size, *network.hidden)
            z = spec.latent_dim + spec.condition_dim
            build = partial(
                perceptron, activation=network.activation, residual_blocks=network.residual_blocks
            )
            return (
                build((*widths, 2 * spec.latent_dim)),
                build((z, *reversed(widths[1:]), widths[0] * per_element)),
            )
        case Conv():
            return ConvEncoder(spec, network), ConvDecoder(spec, network, per_element)
