"""How long the machine takes a core away: ``python -m bench pauses``.

A loop that does nothing but read the clock sees a jump whenever it does not run. No server's
slowest requests are faster than that, so this belongs beside every 99th percentile.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np

from bench.table import table

SHORTEST: Final = 0.0005  # seconds; shorter jumps are not told of
SECONDS: Final = 5.0


class Pauses(NamedTuple):
    """What one core lost in so many ``seconds`` while ``busy`` cores did the same."""

    busy: int
    core: int
    seconds: float
    jumps: tuple[float, ...]


def measure(cores: Sequence[int], *, seconds: float = SECONDS) -> list[Pauses]:
    """Of the first core alone, then of all at once."""
    found = []
    for busy in (cores[:1], cores):
        with ProcessPoolExecutor(len(busy)) as pool:
            jumps = list(pool.map(watch, busy, repeat(seconds)))
        found += [
            Pauses(len(busy), core, seconds, each) for core, each in zip(busy, jumps, strict=True)
        ]
    return found


def watch(core: int, seconds: float) -> tuple[float, ...]:
    """Every jump of the clock on this core that is longer than SHORTEST."""
    os.sched_setaffinity(0, (core,))
    jumps = []
    end = (last := time.perf_counter()) + seconds
    while last < end:
        now = time.perf_counter()
        if now - last > SHORTEST:
            jumps.append(now - last)
        last = now
    return tuple(jumps)


def markdown(found: Sequence[Pauses]) -> str:
    """A row a core."""
    head = ("cores busy", "core", "pauses a second", "median ms", "longest ms", "time lost")
    rows = [
        (
            *(f"{each.busy}", f"{each.core}", f"{len(each.jumps) / each.seconds:.1f}"),
            *(f"{1e3 * figure:.1f}" for figure in _figures(each.jumps)),
            f"{sum(each.jumps) / each.seconds:.2%}",
        )
        for each in found
    ]
    return table(head, rows)


def _figures(jumps: Sequence[float]) -> tuple[float, float]:
    """The median and the longest."""
    return (float(np.median(jumps)), max(jumps)) if jumps else (0.0, 0.0)
