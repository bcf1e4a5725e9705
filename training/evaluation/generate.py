"""Generate samples and reconstructions, in units of the data."""

import torch
from torch import Tensor

from vae.networks import VAE


def sample_prior(vae: VAE, rows: int, noise: torch.Generator, c: Tensor | None = None) -> Tensor:
    """Decode draws of the prior, (rows, *shape): means of p(x|z) for images, because its noise
    hides what they show, and draws of p(x|z) for vectors. Conditions are rows of c.
    """
    device = next(vae.parameters()).device
    vae = vae.conditioned_on(None if c is None else sample_conditions(c, rows).to(device))
    eps = torch.randn(rows, vae.spec.noise_dim, generator=noise).to(device)
    z = vae.prior(eps, torch.ones(rows, device=device))
    if vae.spec.input.kind == "image":
        return vae.decode(z).cpu()
    seed = int(torch.randint(2**62, (), generator=noise))
    on_device = torch.Generator(device).manual_seed(seed)
    return vae.preprocess.invert(vae.likelihood.sample(vae.decoder(z), on_device)).cpu()


def sample_conditions(c: Tensor, rows: int) -> Tensor:
    """``rows`` rows of c, repeated if c has fewer, sorted by class."""
    chosen = c[torch.arange(rows) % len(c)]
    ranks = torch.unique(chosen, dim=0, return_inverse=True)[1]
    return chosen[ranks.argsort(stable=True, descending=True)]


def reconstruct(vae: VAE, x: Tensor) -> Tensor:
    """Decode z at eps = 0, the centre of q(z|x): (rows, *shape)."""
    return vae.decode(vae.latents.centre(*vae.encode(x)))
