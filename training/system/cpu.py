"""Settings of torch on the CPU: threads and denormal numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALL_STEP = 20_000_000
"""Multiply-adds per training step up to which one thread is used."""


def set_threads(threads: int, *, multiply_adds: int | None) -> None:
    """Use ``threads`` CPU threads; 0 means one for a small training step, else torch's default.

    ``multiply_adds`` are those of a step, None if unknown. Threads wait for each other in a busy
    loop, so a step of well under a millisecond gains nothing from a second thread, and becomes many
    times slower if other processes use the cores.
    """
    small = multiply_adds is not None and multiply_adds <= SMALL_STEP
    if threads or small:
        torch.set_num_threads(threads or 1)


@contextmanager
def flush_denormals() -> Iterator[None]:
    """Treat denormal numbers, those below 10⁻³⁸, as 0 in this thread inside the block.

    Vanishing gradients, for example of pixels that are black in every row, become denormal, and
    x86 computes with denormal numbers many times slower.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
