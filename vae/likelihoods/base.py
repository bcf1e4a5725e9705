"""What every likelihood can do."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Likelihood(nn.Module, ABC):
    """A distribution over x whose parameters the decoder puts out.

    ``x`` is (batch, size): flattened rows in the model's space, that is after preprocessing.
    ``params`` is (batch, size · params_per_element), those of one element side by side.
    """

    params_per_element: int = 1

    @abstractmethod
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) of each row, (batch,), in nats: a mass, or a density in the model's space."""

    @abstractmethod
    def mean(self, params: Tensor) -> Tensor:
        """E[x|z], (batch, size)."""

    @abstractmethod
    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        """A draw from p(x|z) for each row, (batch, size)."""

    def own_parameters(self) -> list[nn.Parameter]:
        """What is learned of the distribution itself, such as σ², and not by a network."""
        return list(self.parameters())

    def log_prob_in_units(
        self,
        params: Tensor,
        x: Tensor,
        scale: Tensor,  # noqa: ARG002
        *,
        whole: bool,  # noqa: ARG002
    ) -> Tensor:
        """log p(x|z) in units of the data, (batch,), so that likelihoods can be compared.

        ``scale`` is that of the preprocessing; ``whole``: the data are whole numbers. A mass stays
        what it is. A density is divided by the scale; of whole numbers it becomes a mass by
        spreading each number evenly over its cell: E[log p(x + e)], e uniform on ±½, is a lower
        bound on the log of the cell's mass (Theis et al. 2016, section 3.1).
        """
        return self.log_prob(params, x)


def log_volume(scale: Tensor, x: Tensor) -> Tensor:
    """log |d(data) / dx| of a row, (batch,): what is taken off a density to have it in units."""
    return scale.log().expand_as(x).sum(dim=1)
