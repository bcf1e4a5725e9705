"""Apply a function to rows in batches, over all processes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from training.system.distributed import SINGLE_PROCESS, ProcessGroup
from training.system.seeds import Purpose, generator
from vae.networks import VAE

RowOutputs = tuple[Tensor, ...]

BATCH_ROWS = 256
"""Rows per batch. Memory does not grow with the data or with the draws of z, and the activations of
a draw fit into a core's cache (with 1,024 rows of MNIST, a row takes twice as long).
"""


def map_batches(
    vae: VAE,
    x: Tensor,
    work: Callable[[VAE, Tensor, torch.Generator], RowOutputs],
    shapes: Sequence[tuple[int, ...]],
    seed: int,
    group: ProcessGroup = SINGLE_PROCESS,
    c: Tensor | None = None,
) -> list[Tensor]:
    """Apply ``work`` to x in batches. Returns a tensor of (rows, *shape) for each of ``shapes``.

    ``work`` gets the VAE conditioned on the batch's rows of c, the rows of x, and a noise generator
    of the batch's own. The processes of ``group`` share the batches, and each gets the whole
    result.
    """
    batches = torch.split(x, BATCH_ROWS)
    whole = [x.new_zeros((len(x), *shape), dtype=torch.float32) for shape in shapes]
    for number in range(len(batches))[group.local_slice(len(batches))]:
        noise = generator(seed, Purpose.EVALUATION, number, x.device)
        rows = slice(number * BATCH_ROWS, (number + 1) * BATCH_ROWS)
        conditioned = vae.conditioned_on(None if c is None else c[rows])
        outputs = work(conditioned, batches[number].float(), noise)
        for all_rows, output in zip(whole, outputs, strict=True):
            all_rows[rows] = output
    group.all_reduce(whole)
    return whole
