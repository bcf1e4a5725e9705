"""An exponential moving average (EMA) of the weights."""

import copy

import torch

from vae.networks import VAE


class EMA:
    """The average of a VAE's weights over its steps (Polyak and Juditsky 1992), as a VAE.

    Each step moves the average by 1 − decay of the distance to the new weights. In the first steps
    the decay is (1 + step) / (10 + step) if that is smaller, so that the initial weights lose their
    influence quickly.
    """

    def __init__(self, vae: VAE, decay: float) -> None:
        self.vae = copy.deepcopy(vae).requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, vae: VAE, step: int) -> None:
        """Include the weights after ``step``, counted from 0. Buffers are copied."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        for averaged, parameter in zip(self.vae.parameters(), vae.parameters(), strict=True):
            averaged.lerp_(parameter, weight)
        for copied, buffer in zip(self.vae.buffers(), vae.buffers(), strict=True):
            copied.copy_(buffer)
