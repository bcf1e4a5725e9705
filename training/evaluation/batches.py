"""Apply a function to rows in batches, over all processes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from training.evaluation.evaluate import ROWS
from training.system.distributed import ALONE, Group
from training.system.seeds import Purpose, generator
from vae.networks import VAE

Parts = tuple[Tensor, ...]


def in_batches(
    vae: VAE,
    x: Tensor,
    work: Callable[[VAE, Tensor, torch.Generator], Parts],
    shapes: Sequence[tuple[int, ...]],
    seed: int,
    group: Group = ALONE,
    c: Tensor | None = None,
) -> list[Tensor]:
    """What ``work`` gives for x, ROWS rows at a time: tensors of (rows, *shape), one a shape.

    Every batch has noise of its own, and ``vae`` is given its part of c, the conditions of x. The
    processes of ``group`` share the batches out; each gets the whole result.
    """
    batches = torch.split(x, ROWS)
    whole = [x.new_zeros((len(x), *shape), dtype=torch.float32) for shape in shapes]
    for number in range(len(batches))[group.part(len(batches))]:
        noise = generator(seed, Purpose.EVALUATION, number, x.device)
        rows = slice(number * ROWS, (number + 1) * ROWS)
        given = vae.given(None if c is None else c[rows])
        for place, part in zip(whole, work(given, batches[number].float(), noise), strict=True):
            place[rows] = part
    group.add(whole)
    return whole
