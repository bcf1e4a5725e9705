"""Whole numbers of a known range, such as the 256 levels of a pixel, by mixtures of logistics."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vae.likelihoods.base import Likelihood
from vae.likelihoods.special import log1mexp, log_sigmoid

Values = Callable[[Tensor, Tensor, int], Tensor]
"""Mean and log scale of a colour, and its number, to a value of it for each component."""


class Mixture(NamedTuple):
    """The parameters of the pixels' mixtures; K components, C colours.

    ``weight`` is (batch, pixels, K), logits; the others are (batch, pixels, C, K).
    """

    weight: Tensor
    mean: Tensor
    log_scale: Tensor
    coupling: Tensor


class Logistic(Likelihood):
    """A mixture of logistic distributions in cells around the levels (Salimans et al. 2017, eq. 2).

    The lowest level has all that lies below it, the highest all above. The three colours of a pixel
    share the component, in which green's mean depends linearly on red and blue's on both (eq. 3).
    Inside, levels are from −1 to 1.
    """

    def __init__(self, levels: int, components: int, *, colour: bool) -> None:
        super().__init__()
        self.levels = levels
        self.components = components
        self.colours = 3 if colour else 1
        # Each colour brings its own weights, which are summed, and one of the three couplings.
        self.params_per_element = components * (4 if colour else 3)
        self.half_cell = 1 / (levels - 1)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        mixture = self._mixture(params)
        u = torch.unflatten(2 * self._nearest(x) - 1, 1, (-1, self.colours)).unsqueeze(3)
        means, _ = self._chain(mixture, lambda _mean, _log_scale, colour: u[:, :, colour])
        log_p = self._log_cell(u, means, mixture.log_scale).sum(dim=2)
        return torch.logsumexp(log_p + mixture.weight.log_softmax(dim=2), dim=2).sum(dim=1)

    def mean(self, params: Tensor) -> Tensor:
        """Of the logistic cut off at −1 and 1, before it is rounded: half a level off at most.

        The means of green and blue follow from those of red and green. That is exact up to what is
        cut off.
        """
        mixture = self._mixture(params)
        weight = mixture.weight.softmax(dim=2).unsqueeze(2)
        _, values = self._chain(mixture, lambda mean, log_scale, _colour: _cut(mean, log_scale))
        return (((weight * values).sum(dim=3) + 1) / 2).flatten(1)

    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        mixture = self._mixture(params)
        weight = mixture.weight.softmax(dim=2).flatten(0, 1)
        component = torch.multinomial(weight, 1, generator=noise)
        u = torch.rand(mixture.mean[..., :1].shape, generator=noise, device=params.device)
        logistic = torch.logit(u, eps=1e-6)

        def draw(mean: Tensor, log_scale: Tensor, colour: int) -> Tensor:
            drawn = mean + log_scale.exp() * logistic[:, :, colour]
            return 2 * self._nearest((drawn + 1) / 2) - 1

        _, values = self._chain(mixture, draw)
        chosen = component.reshape(*values.shape[:2], 1, 1).expand(-1, -1, self.colours, 1)
        return ((values.gather(3, chosen) + 1) / 2).flatten(1)

    def _mixture(self, params: Tensor) -> Mixture:
        kinds = self.params_per_element // self.components
        parts = torch.unflatten(params, 1, (-1, self.colours, kinds, self.components))
        weight, mean, log_scale, *coupling = parts.unbind(dim=3)
        return Mixture(
            weight.sum(dim=2),
            mean,
            log_scale.clamp(-7, 7),
            torch.tanh(coupling[0]) if coupling else torch.zeros_like(mean),
        )

    def _nearest(self, x: Tensor) -> Tensor:
        """The level nearest to x in [0, 1]."""
        return (x * (self.levels - 1)).round().clamp(0, self.levels - 1) / (self.levels - 1)

    def _chain(self, mixture: Mixture, value: Values) -> tuple[Tensor, Tensor]:
        """The mean of each colour given the values of those before it, and its own value.

        Both (batch, pixels, C, K).
        """
        means: list[Tensor] = []
        values: list[Tensor] = []
        for colour in range(self.colours):
            mean = mixture.mean[:, :, colour]
            for before, seen in enumerate(values):
                pair = colour * (colour - 1) // 2 + before
                mean = mean + mixture.coupling[:, :, pair] * seen
            means.append(mean)
            values.append(value(mean, mixture.log_scale[:, :, colour], colour))
        return torch.stack(means, dim=2), torch.stack(values, dim=2)

    def _log_cell(self, u: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        """log(S(a) − S(b)), S the sigmoid and a, b the cell's edges in scales from the mean.

        S(a) − S(b) = S(a) S(−b) (1 − exp(b − a)): no difference of nearly equal numbers.
        """
        precision = torch.exp(-log_scale)
        lowest, highest = u < -1 + self.half_cell, u > 1 - self.half_cell
        below_top = log_sigmoid((u + self.half_cell - mean) * precision)
        above_bottom = log_sigmoid((mean - u + self.half_cell) * precision)
        return (
            torch.where(highest, 0.0, below_top)
            + torch.where(lowest, 0.0, above_bottom)
            + torch.where(lowest | highest, 0.0, log1mexp(2 * self.half_cell * precision))
        )


def _cut(mean: Tensor, log_scale: Tensor) -> Tensor:
    """The mean of a logistic variable that is set to −1 below −1 and to 1 above 1."""
    scale = log_scale.exp()
    low, high = (mean + 1).abs() / scale, (mean - 1).abs() / scale
    return mean.clamp(-1, 1) + scale * (torch.exp(-low).log1p() - torch.exp(-high).log1p())
