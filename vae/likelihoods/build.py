"""From the manifest's likelihood section to its module."""

from vae import manifest
from vae.likelihoods.base import Likelihood
from vae.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from vae.likelihoods.categorical import Categorical
from vae.likelihoods.counts import NegativeBinomial, Poisson
from vae.likelihoods.gaussian import (
    Gaussian,
    GaussianByDecoder,
    GaussianByElement,
    OptimalGaussian,
    SharedGaussian,
)
from vae.likelihoods.logistic import Logistic


def build(spec: manifest.ModelSpec) -> Likelihood:
    """The module for the spec's likelihood section on the spec's input."""
    section = spec.likelihood
    match section:
        case manifest.Bernoulli():
            return Bernoulli()
        case manifest.ContinuousBernoulli():
            return ContinuousBernoulli()
        case manifest.Gaussian():
            return _gaussian(section, spec.input.size)
        case manifest.Categorical():
            return Categorical(_levels(spec.input))
        case manifest.Logistic():
            colour = len(spec.input.shape) == 3
            return Logistic(_levels(spec.input), section.components, colour=colour)
        case manifest.Poisson():
            return Poisson()
        case manifest.NegativeBinomial():
            return NegativeBinomial(spec.input.size)


def _gaussian(section: manifest.Gaussian, size: int) -> Gaussian:
    match section.variance:
        case "unit":
            return SharedGaussian()
        case "learned":
            return SharedGaussian(learned=True)
        case "optimal":
            return OptimalGaussian()
        case "per-element":
            return GaussianByElement(size)
        case "decoder":
            return GaussianByDecoder()
        case variance:
            return SharedGaussian(variance)


def _levels(spec: manifest.InputSpec) -> int:
    if spec.levels is None:
        raise AssertionError("the spec was not checked. This is a bug.")
    return spec.levels
