"""Conditional VAEs: encoder and decoder also receive a condition c, (rows, condition_dim)."""

import torch
from torch import Tensor, nn

from vae.layers import init_near_zero

HIDDEN = 64
"""Width of the layer that combines c with the encoder's outputs."""


class ConditionedNetwork(nn.Module):
    """A network with fixed conditions: it runs on each row with that row's c appended.

    ``c`` is (rows, condition_dim). The input may have a multiple of that many rows, such as several
    draws of z for each; c is then repeated as a whole.
    """

    def __init__(self, network: nn.Module, c: Tensor) -> None:
        super().__init__()
        self.network, self.c = network, c

    def forward(self, rows: Tensor) -> Tensor:
        c = self.c
        if rows.shape[0] != c.shape[0]:  # len() would fix the batch size of an exported graph
            c = c.repeat(rows.shape[0] // c.shape[0], 1)
        return self.network(torch.cat([rows, c], dim=1))  # type: ignore[no-any-return]


class ConditionalEncoder(nn.Module):
    """An encoder of x whose outputs are corrected by a small network of them and c.

    Takes (batch, size + condition_dim), c last, and returns (batch, outputs) as ``encoder`` does.
    The correction starts close to 0.
    """

    def __init__(self, encoder: nn.Module, *, outputs: int, condition_dim: int) -> None:
        super().__init__()
        last = nn.Linear(HIDDEN, outputs)
        init_near_zero(last)
        self.encoder, self._condition_dim = encoder, condition_dim
        self.correct = nn.Sequential(nn.Linear(outputs + condition_dim, HIDDEN), nn.ELU(), last)

    def forward(self, rows: Tensor) -> Tensor:
        flat, c = rows[:, : -self._condition_dim], rows[:, -self._condition_dim :]
        encoded = self.encoder(flat)
        return encoded + self.correct(torch.cat([encoded, c], dim=1))  # type: ignore[no-any-return]
