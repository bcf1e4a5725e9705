"""From the manifest's latents section to the module."""

from itertools import accumulate, pairwise

from vae import manifest
from vae.latents import posteriors, priors
from vae.latents.ladder import Ladder, Rung
from vae.latents.latents import Joint, Latents, Normal
from vae.latents.priors import Encode
from vae.manifest import ModelSpec


def build(spec: ModelSpec, encode: Encode) -> Latents:
    """The latents of a model; a VampPrior runs its pseudo-inputs through ``encode``."""
    ladder = spec.latents.ladder
    if ladder is None:
        return _layer(spec, spec.latent_dim, encode)
    rungs = [
        Rung(above, below - above, ladder.hidden)
        for above, below in pairwise(accumulate(ladder.layers))
    ]
    return Ladder(_layer(spec, ladder.layers[0], encode), rungs)


def _layer(spec: ModelSpec, dim: int, encode: Encode) -> Latents:
    """The one layer, or the top one."""
    prior, posterior = spec.latents.prior, spec.latents.posterior
    if prior == manifest.StandardNormal() and posterior == manifest.Diagonal():
        return Normal(dim)
    return Joint(
        dim,
        posteriors.build(posterior, dim),
        priors.build(prior, dim, spec.input.size, encode),
    )
