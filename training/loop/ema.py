"""An exponential moving average of the weights: calmer than the last step's, often better."""

import copy

import torch

from vae.networks import VAE


class Average:
    """The average of a VAE's weights over its steps (Polyak and Juditsky 1992), as a VAE.

    Each step the average goes 1 − decay of the way to the new weights. In the first steps decay is
    (1 + step) / (10 + step) where that is smaller, or the first weights would weigh for long.
    """

    def __init__(self, vae: VAE, decay: float) -> None:
        self.vae = copy.deepcopy(vae).requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, vae: VAE, step: int) -> None:
        """Take in the weights after ``step``, counted from 0; buffers are taken as they are."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        for mine, its in zip(self.vae.parameters(), vae.parameters(), strict=True):
            mine.lerp_(its, weight)
        for held, new in zip(self.vae.buffers(), vae.buffers(), strict=True):
            held.copy_(new)
