"""Aggressive training of the encoder (He et al. 2019, algorithm 1).

Early in training the encoder lags behind the decoder, and the decoder learns to ignore z. Therefore
the encoder takes several steps before every step of the other parameters, until its loss stops
falling. Training continues normally once the mutual information of x and z has stopped rising.
"""

from collections.abc import Iterator

import torch

from training.data.row_source import Batch, RowSource
from training.loop.step import train_step
from training.loop.train_state import TrainState
from training.objectives.schedules import ScheduledValues
from training.system.distributed import ProcessGroup
from training.system.seeds import Purpose, generator

MAX_ROUNDS = 7
"""At most 7 × 15 = 105 encoder steps for one step of the rest; the paper has 100."""

STEPS_PER_ROUND = 15
"""Encoder steps between two reads of their mean loss; each read waits for the device."""


def random_batches(
    data: RowSource, size: int, seed: int, epoch: int, group: ProcessGroup
) -> Iterator[Batch]:
    """Endless batches of rows drawn with replacement; each process gets its slice of each batch."""
    random = generator(seed, Purpose.RANDOM_BATCHES, epoch)
    rows = min(size, len(data))
    while True:
        yield data.draw(rows, random).local_slice(group)


def train_encoder(
    encoder: TrainState,
    batches: Iterator[Batch],
    scheduled: ScheduledValues,
    noise: torch.Generator,
) -> None:
    """Take steps of the encoder until the mean loss of a round is not lower than before."""
    previous = float("inf")
    for _ in range(MAX_ROUNDS):
        sums = [
            train_step(encoder, next(batches), scheduled, noise) for _ in range(STEPS_PER_ROUND)
        ]
        _, rows, *_, loss = torch.stack(sums).sum(dim=0).tolist()
        if not rows or loss / rows >= previous:
            return
        previous = loss / rows
