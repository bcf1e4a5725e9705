"""Stream the training rows of shards: each epoch reads every row once, shuffled in windows.

An epoch shuffles the blocks of all shards and groups them into windows that fit into the allowed
memory. The rows of a window are shuffled. Both orders depend only on the seed and the epoch. A
batch may contain rows of two windows. Each process reads only the rows of its own slices of the
batches, and a thread reads the next window while training uses the current one.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.row_source import Batch, in_pieces
from training.data.shard import Numbers
from training.data.shards import Shards
from training.system.distributed import ProcessGroup
from training.system.seeds import Purpose, generator

CPU = torch.device("cpu")

Item = TypeVar("Item")


@dataclass(frozen=True)
class HeldOutSplit:
    """Decides from a row's number whether it is held out, without memory and without a pass."""

    seed: int
    share: float

    def held_out(self, numbers: Numbers) -> NDArray[np.bool_]:
        """Whether each of the rows with these numbers is held out."""
        mixed = _splitmix64(numbers.astype(np.uint64) + np.uint64(self.seed))
        return (mixed >> np.uint64(11)) * 2.0**-53 < self.share


def _splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The SplitMix64 hash (Steele, Lea and Flood 2014), a bijection of 64-bit integers."""
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class WindowRows(NamedTuple):
    """A process's part of a window: its slices of whole batches, and all rows left over."""

    x: Tensor
    batches: list[int]  # number of rows of each whole batch


@dataclass(frozen=True, eq=False)
class ShuffledWindows:
    """The rows of ``shards`` that ``held_out_split`` does not hold out, shuffled in windows.

    ``digest`` identifies the content of the shards. A window has up to ``window_bytes`` but at
    least one block.
    """

    shards: Shards
    digest: str
    held_out_split: HeldOutSplit
    window_bytes: int
    device: torch.device = CPU

    @cached_property
    def _rows(self) -> int:
        return sum(len(self.numbers(block)) for block in self.shards.blocks)

    def __len__(self) -> int:
        return self._rows

    def numbers(self, block: tuple[int, int]) -> Numbers:
        """The training rows of a block."""
        every = np.arange(*block)
        return every[~self.held_out_split.held_out(every)]

    def pieces(self) -> Iterator[Tensor]:
        """Block by block."""
        for block in self.shards.blocks:
            if len(numbers := self.numbers(block)):
                yield from in_pieces(torch.from_numpy(self.shards.take(numbers)))

    def fingerprint(self) -> str:
        """The SHA-256 of the shards' content and of the split."""
        return hashlib.sha256(f"{self.digest} {self.held_out_split}".encode()).hexdigest()

    def draw(self, count: int, noise: torch.Generator) -> Batch:
        """Rows at random, with replacement."""
        drawn = np.array([], np.int64)
        while len(drawn) < count:
            some = torch.randint(self.shards.ends[-1], (count,), generator=noise).numpy()
            drawn = np.concatenate([drawn, some[~self.held_out_split.held_out(some)]])
        return Batch(torch.from_numpy(self.shards.take(drawn[:count])), count)

    def to(self, device: torch.device) -> Self:
        """The same rows, with batches on ``device``."""
        return replace(self, device=device)

    def batches(self, size: int, seed: int, epoch: int, group: ProcessGroup) -> Iterator[Batch]:
        """All rows once. Raises DataError if a file has become unreadable."""
        for held in _prefetch(self._read(size, seed, epoch, group)):
            x = held.x.to(self.device)
            first = 0
            for rows in held.batches:
                mine = group.local_slice(rows)
                end = first + mine.stop - mine.start
                yield Batch(x[first:end], rows)
                first = end

    def _read(self, size: int, seed: int, epoch: int, group: ProcessGroup) -> Iterator[WindowRows]:
        """Read the windows in order. Rows that do not fill a batch join the next window."""
        rest = torch.from_numpy(self.shards.take(np.array([], np.int64)))
        left = len(self)
        for numbers in self._windows(seed, epoch):
            left -= len(numbers)
            rows = len(rest) + len(numbers)
            whole = rows if left == 0 else rows - rows % size
            batches = [min(size, whole - first) for first in range(0, whole, size)]
            positions = _local_positions(batches, size, whole, rows, group)
            new = numbers[positions[positions >= len(rest)] - len(rest)]
            old = torch.from_numpy(positions[positions < len(rest)])
            x = torch.cat([rest[old], torch.from_numpy(self.shards.take(new))])
            rest = x[len(x) - (rows - whole) :].clone()
            yield WindowRows(x, batches)

    def _windows(self, seed: int, epoch: int) -> Iterator[Numbers]:
        """The shuffled row numbers of each window."""
        blocks = self.shards.blocks
        shuffled = torch.randperm(len(blocks), generator=generator(seed, Purpose.BLOCKS, epoch))
        within = generator(seed, Purpose.ORDER, epoch)
        most = self.window_bytes // self.shards.row_bytes
        window: list[Numbers] = []
        held = 0
        for index in shuffled.tolist():
            numbers = self.numbers(blocks[index])
            if held and held + len(numbers) > most:
                yield _shuffled(window, within)
                window, held = [], 0
            window.append(numbers)
            held += len(numbers)
        if held:
            yield _shuffled(window, within)


def _shuffled(blocks: list[Numbers], order: torch.Generator) -> Numbers:
    """The rows of these blocks, shuffled independently of the order of the blocks."""
    rows: Numbers = np.sort(np.concatenate(blocks))
    shuffled: Numbers = rows[torch.randperm(len(rows), generator=order).numpy()]
    return shuffled


def _local_positions(
    batches: list[int], size: int, whole: int, rows: int, group: ProcessGroup
) -> Numbers:
    """The positions, in the window's order, of this process's slices and of the rows left over."""
    mine = [
        np.arange(rows_of_batch)[group.local_slice(rows_of_batch)] + number * size
        for number, rows_of_batch in enumerate(batches)
    ]
    return np.concatenate([*mine, np.arange(whole, rows)])


def _prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """The same items; a thread makes the next one while the current one is in use."""
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(next, items, None)
        while (item := future.result()) is not None:
            future = thread.submit(next, items, None)
            yield item
