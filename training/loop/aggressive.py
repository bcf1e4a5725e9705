"""Aggressive training of the encoder (He et al. 2019, algorithm 1).

At the start the encoder lags behind the decoder, which learns to do without z. So before every step
of the rest the encoder takes steps of its own, until its loss stops falling. Once the mutual
information of x and z has stopped rising, training goes on as usual.
"""

from collections.abc import Iterator

import torch

from training.data.row_source import Batch, Rows
from training.loop.step import learn
from training.loop.train_state import Learner
from training.objectives.schedules import Now
from training.system.distributed import Group
from training.system.seeds import Purpose, generator

LOOKS = 7
"""At most 105 steps of the encoder for one of the rest; the paper has 100."""

STEPS = 15
"""Steps before each look at their mean loss, which waits for the device."""


def random_batches(data: Rows, size: int, seed: int, epoch: int, group: Group) -> Iterator[Batch]:
    """Batches of rows by chance, without end; each process has its slice of the same ones."""
    chance = generator(seed, Purpose.CHANCE, epoch)
    rows = min(size, len(data))
    while True:
        yield data.draw(rows, chance).part(group)


def refine(encoder: Learner, batches: Iterator[Batch], now: Now, noise: torch.Generator) -> None:
    """Steps of ``encoder``, until their mean loss is no lower than before."""
    before = float("inf")
    for _ in range(LOOKS):
        counts = [learn(encoder, next(batches), now, noise) for _ in range(STEPS)]
        _, rows, *_, loss = torch.stack(counts).sum(dim=0).tolist()
        if not rows or loss / rows >= before:
            return
        before = loss / rows
