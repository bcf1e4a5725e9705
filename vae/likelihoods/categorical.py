"""The categorical likelihood: whole numbers of a known range, each with its own probability."""

import torch
from torch import Tensor

from vae.likelihoods.base import Likelihood


class Categorical(Likelihood):
    """A softmax over the levels of each element (van den Oord et al. 2016, "Pixel RNN").

    ``params`` holds ``levels`` logits for each element. Preprocessing maps the levels to [0, 1]; a
    value between two levels is rounded to the nearest.
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.params_per_element = levels

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        level = (x * (self.levels - 1)).round().clamp(0, self.levels - 1).long()
        log_p = self._logits(params).log_softmax(dim=2)
        return log_p.gather(2, level.unsqueeze(2)).squeeze(2).sum(dim=1)

    def mean(self, params: Tensor) -> Tensor:
        values = torch.linspace(0, 1, self.levels, dtype=params.dtype, device=params.device)
        return self._logits(params).softmax(dim=2) @ values

    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        p = self._logits(params).softmax(dim=2)
        level = torch.multinomial(p.flatten(0, 1), 1, generator=noise)
        return level.reshape(p.shape[:2]) / (self.levels - 1)

    def _logits(self, params: Tensor) -> Tensor:
        """(batch, size, levels)"""
        return torch.unflatten(params, 1, (-1, self.levels))
