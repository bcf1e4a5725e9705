"""Build a VAE with its initial weights."""

import torch

from training.data.row_source import RowSource
from training.system.seeds import Purpose, derive_seed, generator
from vae.latents.priors import VampPrior
from vae.manifest import ModelSpec
from vae.networks import VAE


def build_vae(spec: ModelSpec, seed: int) -> VAE:
    """A VAE with initial weights from ``seed``. torch's global random state is unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, Purpose.WEIGHTS))
        return channels_last(VAE(spec))


@torch.no_grad()
def initialise_pseudo_inputs(vae: VAE, rows: RowSource, seed: int) -> VAE:
    """Set the pseudo-inputs of a VampPrior to random rows plus noise. Returns the same VAE.

    The noise separates pseudo-inputs that were set to the same row.
    """
    noise = generator(seed, Purpose.WEIGHTS, 1)
    for prior in vae.latents.modules():
        if isinstance(prior, VampPrior):
            flat = vae.preprocess(rows.draw(len(prior.pseudo_inputs), noise).x.float())
            prior.pseudo_inputs.copy_(flat + 0.01 * torch.randn(flat.shape, generator=noise))
    return vae


def channels_last(vae: VAE) -> VAE:
    """Change the memory format of convolution weights to channels last. Returns the same VAE.

    Images have that format, and a training step on a CPU takes a fraction of the time.
    """
    return vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
