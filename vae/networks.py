"""The variational autoencoder as a PyTorch module, built from the manifest's sections.

Shapes: x is (batch, *shape) in the units of the data. Between preprocessing and likelihood
everything works on flattened rows, (batch, size), in the order of x.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from vae.build_modules import build_latents, build_likelihood, build_networks
from vae.conditional import ConditionedNetwork
from vae.manifest import ModelSpec, Preprocessing, VectorCondition

FORMER_NAMES = {"told.": "preprocess_condition.", "latents.rungs.": "latents.layers."}
"""Prefixes of tensors in the checkpoints of older bundles, and what they are called now."""


class VAE(nn.Module):
    """Encoder, latents, decoder and likelihood p(x|z) of a model, with its preprocessing.

    ``encode``, ``decode``, ``log_px_z``, ``posterior`` and ``prior`` are the graphs of a bundle,
    with x in the units of the data. Training uses the parts. ``checkpoint.safetensors`` of a bundle
    stores the state dict, so that the attribute names of all modules are part of its format.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.preprocess = Preprocess(spec.preprocessing)
        self.likelihood = build_likelihood(spec)
        self.encoder, self.decoder = build_networks(spec, self.likelihood.params_per_element)
        self.preprocess_condition = _preprocess_condition(spec)
        self.latents = build_latents(spec, self.infer)
        self.register_load_state_dict_pre_hook(_rename_former)  # type: ignore[no-untyped-call]

    def infer(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar, each (batch, latent_dim), of preprocessed rows, (batch, size)."""
        mu, logvar = self.encoder(flat).chunk(2, dim=1)
        return mu, logvar

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar = log σ², each (batch, latent_dim), of x, (batch, *shape).

        They are the parameters of q(z|x) if it is a diagonal Gaussian; otherwise ``posterior``
        takes them to a draw.
        """
        return self.infer(self.preprocess(x))

    def decode(self, z: Tensor) -> Tensor:
        """E[x|z], (batch, *shape): the mean of p(x|z) and not a draw from it.

        An autoregressive p(x|z) gives the path of conditional means; see
        ``AutoregressiveLikelihood.mean``.
        """
        mean = self.likelihood.mean(self.decoder(z))
        return self.preprocess.invert(mean).reshape(-1, *self.spec.input.shape)

    def log_px_z(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats, (batch,): a mass, or a density of the preprocessed x."""
        return self.likelihood.log_prob(self.decoder(z), self.preprocess(x))

    def log_px_z_in_data_units(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats, (batch,), of x in the units of the data.

        It is a mass if x are whole numbers. Values of different likelihoods and scalings can be
        compared; see ``Likelihood.log_prob_in_data_units``.
        """
        whole = self.spec.input.dtype == "uint8"
        params, flat, scale = self.decoder(z), self.preprocess(x), self.preprocess.scale
        return self.likelihood.log_prob_in_data_units(params, flat, scale, whole=whole)

    def posterior(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """z ~ q(z|x), (batch, latent_dim), and an estimate of KL(q(z|x) ‖ p(z)) in nats, (batch,).

        ``eps`` ~ N(0, I) is (batch, latent_dim).
        """
        draw = self.latents.sample_posterior(mu, logvar, eps)
        return draw.z, draw.kl.sum(dim=1)

    def prior(self, noise: Tensor, temperature: Tensor) -> Tensor:
        """z ~ p(z), (batch, latent_dim), from ``noise`` ~ N(0, I), (batch, noise_dim).

        ``temperature``, (batch,), multiplies the standard deviations.
        """
        return self.latents.sample_prior(noise, temperature)

    def conditioned_on(self, c: Tensor | None) -> "VAE":
        """The VAE of p(x|c) for rows with the conditions ``c``, (rows, condition_dim).

        ``c`` is in the units of the data. The result shares all weights with this module. It is
        this module itself if the model is not conditional or ``c`` is None.
        """
        if self.spec.condition is None or c is None:
            return self
        c = self.preprocess_condition(c)
        return self.with_networks(
            ConditionedNetwork(self.encoder, c), ConditionedNetwork(self.decoder, c)
        )

    def with_networks(self, encoder: nn.Module, decoder: nn.Module) -> "VAE":
        """The same VAE with other networks. It shares everything else with this module."""
        other = copy.copy(self)
        other._modules = {**self._modules, "encoder": encoder, "decoder": decoder}
        return other

    def frozen(self) -> "VAE":
        """A copy in evaluation mode for inference, with what depends only on weights precomputed.

        Later changes of the weights do not reach the copy.
        """
        frozen = copy.deepcopy(self)
        frozen.latents = frozen.latents.frozen()
        return frozen.eval()


class Preprocess(nn.Module):
    """x, (batch, *shape), ↦ (x − shift) / scale on flattened rows, (batch, size).

    A shift of 0 is not subtracted, which saves an operation in the graphs.
    """

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
        """Preprocessed rows, (batch, size), back to the units of the data, (batch, size)."""
        scaled: Tensor = x * self.scale
        return scaled + self.shift if self._shifts else scaled


def _preprocess_condition(spec: ModelSpec) -> nn.Module:
    """From a condition in the units of the data to the networks' input."""
    if isinstance(spec.condition, VectorCondition):
        return Preprocess(spec.condition.preprocessing)
    return nn.Identity()


def _rename_former(_vae: nn.Module, state: dict[str, Tensor], prefix: str, *_details: Any) -> None:
    """Rename tensors of an older checkpoint in place before they are loaded."""
    for former, current in FORMER_NAMES.items():
        for name in [name for name in state if name.startswith(prefix + former)]:
            state[prefix + current + name.removeprefix(prefix + former)] = state.pop(name)
