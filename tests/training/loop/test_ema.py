"""The average of the weights."""

import torch

from tests.training.models import gaussian_vae
from training.loop.ema import EMA


def test_it_moves_by_its_share_towards_the_weights() -> None:
    vae = gaussian_vae()
    ema = EMA(vae, decay=0.9)
    before = [p.clone() for p in ema.vae.parameters()]
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter += 1
    ema.update(vae, step=1000)
    for old, new in zip(before, ema.vae.parameters(), strict=True):
        torch.testing.assert_close(new - old, torch.full_like(old, 0.1), atol=1e-6, rtol=0)


def test_the_first_weights_are_soon_forgotten() -> None:
    vae = gaussian_vae()
    ema = EMA(vae, decay=0.999)
    before = next(ema.vae.parameters()).clone()
    with torch.no_grad():
        next(vae.parameters()).add_(1)
    ema.update(vae, step=0)
    moved = next(ema.vae.parameters()) - before
    torch.testing.assert_close(moved, torch.full_like(moved, 0.9), atol=1e-6, rtol=0)


def test_it_takes_no_gradient_and_leaves_the_vae_alone() -> None:
    vae = gaussian_vae()
    ema = EMA(vae, decay=0.5)
    ema.update(vae, step=7)
    assert not any(p.requires_grad for p in ema.vae.parameters())
    assert all(p.requires_grad for p in vae.encoder.parameters())
