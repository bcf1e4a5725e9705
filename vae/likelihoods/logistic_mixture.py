"""Mixtures of discretised logistics, for whole numbers of a known range such as pixels."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vae.likelihoods.base import Likelihood
from vae.likelihoods.special_functions import log1mexp, log_sigmoid

ColourValue = Callable[[Tensor, Tensor, int], Tensor]
"""(mean, log_scale, colour) to a value of that colour for each component, (batch, pixels, K)."""


class MixtureParams(NamedTuple):
    """The parameters of the pixels' mixtures, for K components and C colours."""

    weight: Tensor  # logits, (batch, pixels, K)
    mean: Tensor  # (batch, pixels, C, K)
    log_scale: Tensor  # (batch, pixels, C, K)
    coupling: Tensor  # (batch, pixels, C, K)


class LogisticMixture(Likelihood):
    """A mixture of logistics, each integrated over the cell around a level.

    PixelCNN++ (Salimans et al. 2017), equation 2: the cell of the lowest level extends to −∞ and
    that of the highest to ∞. The three colours of a pixel share the component; within it, green's
    mean is linear in red, and blue's in red and green (equation 3). Preprocessing maps the levels
    to [0, 1]; internally they are mapped to [−1, 1].
    """

    def __init__(self, levels: int, components: int, *, colour: bool) -> None:
        super().__init__()
        self.levels = levels
        self.components = components
        self.colours = 3 if colour else 1
        # Each colour has its own weights, which are summed, and one of the three couplings.
        self.params_per_element = components * (4 if colour else 3)
        self.half_cell = 1 / (levels - 1)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        mixture = self._mixture(params)
        u = torch.unflatten(2 * self._nearest(x) - 1, 1, (-1, self.colours)).unsqueeze(3)
        means, _ = self._chain(mixture, lambda _mean, _log_scale, colour: u[:, :, colour])
        log_p = self._log_cell(u, means, mixture.log_scale).sum(dim=2)
        return torch.logsumexp(log_p + mixture.weight.log_softmax(dim=2), dim=2).sum(dim=1)

    def mean(self, params: Tensor) -> Tensor:
        """The mean of the logistics clipped to [−1, 1] before rounding: at most half a level off.

        Green and blue use the means of the colours before them, which is exact but for the
        clipping.
        """
        mixture = self._mixture(params)
        weight = mixture.weight.softmax(dim=2).unsqueeze(2)
        _, values = self._chain(
            mixture, lambda mean, log_scale, _colour: _clipped_mean(mean, log_scale)
        )
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

    def _mixture(self, params: Tensor) -> MixtureParams:
        kinds = self.params_per_element // self.components
        parts = torch.unflatten(params, 1, (-1, self.colours, kinds, self.components))
        weight, mean, log_scale, *coupling = parts.unbind(dim=3)
        return MixtureParams(
            weight.sum(dim=2),
            mean,
            log_scale.clamp(-7, 7),
            torch.tanh(coupling[0]) if coupling else torch.zeros_like(mean),
        )

    def _nearest(self, x: Tensor) -> Tensor:
        """The level nearest to x in [0, 1]."""
        return (x * (self.levels - 1)).round().clamp(0, self.levels - 1) / (self.levels - 1)

    def _chain(self, mixture: MixtureParams, value: ColourValue) -> tuple[Tensor, Tensor]:
        """The mean of each colour given the values of the colours before it, and its own value.

        Both are (batch, pixels, C, K).
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
        """log(σ(a) − σ(b)), where σ is the sigmoid and a, b are the cell's edges, standardised.

        Computed as log σ(a) + log σ(−b) + log(1 − exp(b − a)), which does not subtract nearly equal
        numbers. At the lowest and the highest level only one of the first two terms remains.
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


def _clipped_mean(mean: Tensor, log_scale: Tensor) -> Tensor:
    """The mean of a logistic variable that is clipped to [−1, 1]."""
    scale = log_scale.exp()
    low, high = (mean + 1).abs() / scale, (mean - 1).abs() / scale
    return mean.clamp(-1, 1) + scale * (torch.exp(-low).log1p() - torch.exp(-high).log1p())
