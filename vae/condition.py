"""p(x|z, c): networks that are told a condition c with every row, (rows, condition_dim)."""

import torch
from torch import Tensor, nn

from vae.latents.start import start_small

HIDDEN = 64
"""Width of the layer in which c meets what the encoder says of x."""


class Given(nn.Module):
    """A network for rows whose conditions are known: it is run on each row with its c behind it.

    Rows may be a multiple of those of c, all of them over and over, as for several draws of each.
    """

    def __init__(self, network: nn.Module, c: Tensor) -> None:
        super().__init__()
        self.network, self.c = network, c

    def forward(self, rows: Tensor) -> Tensor:
        c = self.c
        if rows.shape[0] != c.shape[0]:  # len() would freeze the batch of an exported graph
            c = c.repeat(rows.shape[0] // c.shape[0], 1)
        return self.network(torch.cat([rows, c], dim=1))  # type: ignore[no-any-return]


class ConditionalEncoder(nn.Module):
    """Any encoder, whose answer to x is then corrected by what c says of it.

    Takes (batch, size + condition_dim); c comes last.
    """

    def __init__(self, encoder: nn.Module, *, outputs: int, condition_dim: int) -> None:
        super().__init__()
        last = nn.Linear(HIDDEN, outputs)
        start_small(last)
        self.encoder, self._condition_dim = encoder, condition_dim
        self.correct = nn.Sequential(nn.Linear(outputs + condition_dim, HIDDEN), nn.ELU(), last)

    def forward(self, rows: Tensor) -> Tensor:
        flat, c = rows[:, : -self._condition_dim], rows[:, -self._condition_dim :]
        answer = self.encoder(flat)
        return answer + self.correct(torch.cat([answer, c], dim=1))  # type: ignore[no-any-return]
