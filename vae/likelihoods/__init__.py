"""p(x|z): how the decoder's output becomes a distribution over x. One small class each."""

from vae.likelihoods.base import Likelihood
from vae.likelihoods.build import build

__all__ = ["Likelihood", "build"]
