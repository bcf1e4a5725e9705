"""From the config and the data to a VAE with its first weights, and to what it is trained for."""

import torch

from training.data.row_source import Rows
from training.system.seeds import Purpose, derive, generator
from vae.latents.priors import VampPrior
from vae.manifest import ModelSpec
from vae.networks import VAE


def build(spec: ModelSpec, seed: int) -> VAE:
    """The VAE with weights that ``seed`` decides; torch's own random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, Purpose.WEIGHTS))
        return fast(VAE(spec))


@torch.no_grad()
def place_pseudo_inputs(vae: VAE, rows: Rows, seed: int) -> VAE:
    """The same VAE with a VampPrior's pseudo-inputs near some of the rows.

    The noise keeps two that begin at the same row apart.
    """
    noise = generator(seed, Purpose.WEIGHTS, 1)
    for prior in vae.latents.modules():
        if isinstance(prior, VampPrior):
            flat = vae.preprocess(rows.draw(len(prior.pseudo_inputs), noise).x.float())
            prior.pseudo_inputs.copy_(flat + 0.01 * torch.randn(flat.shape, generator=noise))
    return vae


def fast(vae: VAE) -> VAE:
    """The same VAE with the weights of convolutions laid out channels last, in place.

    Images come that way, and on CPU a training step takes a fraction of the time.
    """
    return vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
