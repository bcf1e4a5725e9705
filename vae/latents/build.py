"""From the manifest's latents section to the module."""

from vae.latents import posteriors, priors
from vae.latents.latents import Joint, Latents, Normal
from vae.latents.priors import Encode
from vae.manifest import ModelSpec


def build(spec: ModelSpec, encode: Encode) -> Latents:
    """The latents of a model; a VampPrior runs its pseudo-inputs through ``encode``."""
    if spec.latents.closed_form:
        return Normal(spec.latent_dim)
    prior = priors.build(spec.latents.prior, spec.latent_dim, spec.input.size, encode)
    return Joint(spec.latent_dim, posteriors.build(spec.latents.posterior), prior)
