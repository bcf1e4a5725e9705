"""The interface of every likelihood p(x|z)."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Likelihood(nn.Module, ABC):
    """A distribution p(x|z) over x whose parameters the decoder puts out.

    ``x`` is (batch, size): flattened, preprocessed rows.
    ``params`` is (batch, size · params_per_element): the parameters of one element are adjacent.
    """

    params_per_element: int = 1

    @abstractmethod
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) of each row in nats, (batch,): a mass, or a density of the preprocessed x."""

    @abstractmethod
    def mean(self, params: Tensor) -> Tensor:
        """E[x|z], (batch, size)."""

    @abstractmethod
    def sample(self, params: Tensor, noise: torch.Generator) -> Tensor:
        """A draw from p(x|z) for each row, (batch, size)."""

    def own_parameters(self) -> list[nn.Parameter]:
        """The learned parameters of the distribution itself, such as σ², without networks."""
        return list(self.parameters())

    def log_prob_in_data_units(
        self,
        params: Tensor,
        x: Tensor,
        scale: Tensor,  # noqa: ARG002
        *,
        whole: bool,  # noqa: ARG002
    ) -> Tensor:
        """log p(x|z) in nats, (batch,), of the data before preprocessing, to compare likelihoods.

        ``scale`` is the preprocessing's, () or (size,). ``whole`` says that the data are whole
        numbers. A mass is returned as it is. A density is divided by the scale. If the data are
        whole numbers, it becomes a lower bound on the log mass of the cell around each number:
        E[log p(x + e)] with e uniform on ±½ (Theis et al. 2016, section 3.1).
        """
        return self.log_prob(params, x)


def log_scale_volume(scale: Tensor, x: Tensor) -> Tensor:
    """Σ log scale over the elements of a row, (batch,).

    Subtracted from the log-density of the preprocessed x, it gives the log-density of the data.
    """
    return scale.log().expand_as(x).sum(dim=1)
