"""Samples and reconstructions of a model, in units of the data."""

import torch
from torch import Tensor

from vae.networks import VAE


def draw(vae: VAE, rows: int, noise: torch.Generator, c: Tensor | None = None) -> Tensor:
    """(rows, *shape) with z from the prior: means of p(x|z) for images, whose noise nobody wants to
    see; for vectors draws from it. Conditions are picked from c.
    """
    device = next(vae.parameters()).device
    vae = vae.given(None if c is None else spread(c, rows).to(device))
    eps = torch.randn(rows, vae.spec.noise_dim, generator=noise).to(device)
    z = vae.prior(eps, torch.ones(rows, device=device))
    if vae.spec.input.kind == "image":
        return vae.decode(z).cpu()
    seed = int(torch.randint(2**62, (), generator=noise))
    there = torch.Generator(device).manual_seed(seed)
    return vae.preprocess.invert(vae.likelihood.sample(vae.decoder(z), there)).cpu()


def spread(c: Tensor, rows: int) -> Tensor:
    """So many rows of c, as it has them, from large to small: in the order of their classes."""
    picked = c[torch.arange(rows) % len(c)]
    ranks = torch.unique(picked, dim=0, return_inverse=True)[1]
    return picked[ranks.argsort(stable=True, descending=True)]


def reconstruct(vae: VAE, x: Tensor) -> Tensor:
    """What the decoder makes of the centres of q(z|x), (rows, *shape)."""
    return vae.decode(vae.latents.centre(*vae.encode(x)))
