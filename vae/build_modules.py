"""From the manifest's sections to PyTorch modules: networks, likelihood, latents."""

from itertools import accumulate, pairwise

from torch import nn

from vae import manifest
from vae.conditional import ConditionalEncoder
from vae.convolutional import ConvDecoder, ConvEncoder
from vae.latents.base import Latents
from vae.latents.flows import AffineCoupling, InverseAutoregressive
from vae.latents.ladder import LadderLatents, LadderLayer
from vae.latents.posteriors import DiagonalGaussian, Flow, Posterior
from vae.latents.priors import Encode, GaussianMixture, Prior, StandardNormal, VampPrior
from vae.latents.single_layer import ClosedFormLatents, MonteCarloLatents
from vae.likelihoods.autoregressive import AutoregressiveLikelihood
from vae.likelihoods.base import Likelihood
from vae.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from vae.likelihoods.categorical import Categorical
from vae.likelihoods.counts import LogCounts, NegativeBinomial, Poisson
from vae.likelihoods.gaussian import (
    DecoderVarianceGaussian,
    Gaussian,
    OptimalGaussian,
    PerElementGaussian,
    SharedGaussian,
)
from vae.likelihoods.logistic_mixture import LogisticMixture
from vae.manifest import COUNT_LIKELIHOODS, ModelSpec
from vae.mlp import mlp


def build_networks(spec: ModelSpec, params_per_element: int) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder on preprocessed rows.

    The encoder maps (batch, size) to mu and logvar side by side, (batch, 2 · latent_dim), the
    decoder (batch, latent_dim) to (batch, size · params_per_element). In a conditional model each
    takes condition_dim more inputs, the last ones.
    """
    encoder, decoder = _encoder_of_x(spec), _decoder(spec, params_per_element)
    if spec.likelihood.kind in COUNT_LIKELIHOODS:
        encoder = nn.Sequential(LogCounts(), encoder)
    if spec.condition:
        encoder = ConditionalEncoder(
            encoder, outputs=2 * spec.latent_dim, condition_dim=spec.condition_dim
        )
    return encoder, decoder


def build_likelihood(spec: ModelSpec) -> Likelihood:
    """p(x|z) of the model: that of its elements, wrapped if pixels depend on each other."""
    likelihood = _element_likelihood(spec)
    if spec.autoregression is None:
        return likelihood
    scale = LogCounts() if spec.likelihood.kind in COUNT_LIKELIHOODS else nn.Identity()
    return AutoregressiveLikelihood(spec.autoregression, spec.input, likelihood, scale)


def build_latents(spec: ModelSpec, encode: Encode) -> Latents:
    """q(z|x) and p(z) of the model. A VampPrior computes its components with ``encode``."""
    ladder = spec.latents.ladder
    if ladder is None:
        return _single_layer(spec, spec.latent_dim, encode)
    lower = [
        LadderLayer(above, below - above, ladder.hidden)
        for above, below in pairwise(accumulate(ladder.layers))
    ]
    return LadderLatents(_single_layer(spec, ladder.layers[0], encode), lower)


def build_posterior(spec: manifest.PosteriorSpec, dim: int) -> Posterior:
    """q(z|x) over ``dim`` latents."""
    match spec:
        case manifest.DiagonalGaussianSpec():
            return DiagonalGaussian()
        case manifest.AutoregressiveFlowSpec(layers=layers, hidden=hidden):
            return Flow(
                InverseAutoregressive(dim, hidden, reverse=i % 2 == 1) for i in range(layers)
            )
        case manifest.CouplingFlowSpec(layers=layers, hidden=hidden):
            return Flow(AffineCoupling(dim, hidden, odd=i % 2 == 1) for i in range(layers))


def build_prior(spec: manifest.PriorSpec, dim: int, size: int, encode: Encode) -> Prior:
    """p(z) over ``dim`` latents, for rows x of ``size`` elements."""
    match spec:
        case manifest.StandardNormalSpec():
            return StandardNormal(dim)
        case manifest.GaussianMixtureSpec():
            return GaussianMixture(dim, spec.components)
        case manifest.VampPriorSpec():
            return VampPrior(dim, spec.components, size, encode)


def _encoder_of_x(spec: ModelSpec) -> nn.Module:
    network = spec.network
    match network:
        case manifest.MLPSpec(activation=activation, residual_blocks=blocks):
            widths = (spec.input.size, *network.hidden, 2 * spec.latent_dim)
            return mlp(widths, activation, blocks)
        case manifest.ConvSpec():
            return ConvEncoder(spec, network)


def _decoder(spec: ModelSpec, params_per_element: int) -> nn.Module:
    network = spec.network
    match network:
        case manifest.MLPSpec(activation=activation, residual_blocks=blocks):
            z, x = spec.latent_dim + spec.condition_dim, spec.input.size * params_per_element
            return mlp((z, *reversed(network.hidden), x), activation, blocks)
        case manifest.ConvSpec():
            return ConvDecoder(spec, network, params_per_element)


def _single_layer(spec: ModelSpec, dim: int, encode: Encode) -> Latents:
    """The only layer of latents, or the top layer of a ladder."""
    prior, posterior = spec.latents.prior, spec.latents.posterior
    if prior == manifest.StandardNormalSpec() and posterior == manifest.DiagonalGaussianSpec():
        return ClosedFormLatents(dim)
    return MonteCarloLatents(
        dim, build_posterior(posterior, dim), build_prior(prior, dim, spec.input.size, encode)
    )


def _element_likelihood(spec: ModelSpec) -> Likelihood:
    section = spec.likelihood
    match section:
        case manifest.BernoulliSpec():
            return Bernoulli()
        case manifest.ContinuousBernoulliSpec():
            return ContinuousBernoulli()
        case manifest.GaussianSpec():
            return _gaussian(section, spec.input.size)
        case manifest.CategoricalSpec():
            return Categorical(_levels(spec.input))
        case manifest.LogisticMixtureSpec():
            colour = len(spec.input.shape) == 3
            return LogisticMixture(_levels(spec.input), section.components, colour=colour)
        case manifest.PoissonSpec():
            return Poisson()
        case manifest.NegativeBinomialSpec():
            return NegativeBinomial(spec.input.size)


def _gaussian(section: manifest.GaussianSpec, size: int) -> Gaussian:
    match section.variance:
        case "unit":
            return SharedGaussian()
        case "learned":
            return SharedGaussian(learned=True)
        case "optimal":
            return OptimalGaussian()
        case "per-element":
            return PerElementGaussian(size)
        case "decoder":
            return DecoderVarianceGaussian()
        case variance:
            return SharedGaussian(variance)


def _levels(spec: manifest.InputSpec) -> int:
    if spec.levels is None:
        raise AssertionError(f"ModelSpec accepted an input without levels: {spec}. This is a bug.")
    return spec.levels
