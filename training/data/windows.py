"""Training rows of shards: an epoch that reads every file once and shuffles what memory holds.

The order of an epoch: the blocks of all shards are shuffled and taken by windows, as many as fit
into the memory allowed; the rows of a window are shuffled. Both depend on the seed and the epoch
alone, and batches run on from one window into the next. Of a window each process reads the rows of
its own slices of the batches, and the next window is read while this one is trained on.
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
from training.system.distributed import Group
from training.system.seeds import Purpose, generator

CPU = torch.device("cpu")

Item = TypeVar("Item")


@dataclass(frozen=True)
class Lot:
    """Whether a row is held out: drawn for its number, so that it needs no memory and no pass."""

    seed: int
    share: float

    def held_out(self, numbers: Numbers) -> NDArray[np.bool_]:
        """For each of the rows of these numbers."""
        mixed = _splitmix64(numbers.astype(np.uint64) + np.uint64(self.seed))
        return (mixed >> np.uint64(11)) * 2.0**-53 < self.share


def _splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Steele, Lea and Flood 2014: a bijection whose output looks random for successive x."""
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Held(NamedTuple):
    """What a process read of a window: its slices of whole batches, and all rows left over."""

    x: Tensor
    batches: list[int]  # rows of each whole batch


@dataclass(frozen=True, eq=False)
class Windows:
    """The rows of ``shards`` that ``lot`` does not hold out.

    ``digest`` stands for the content of the shards; a window has up to ``window_bytes``, and one
    block at least.
    """

    shards: Shards
    digest: str
    lot: Lot
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
        return every[~self.lot.held_out(every)]

    def pieces(self) -> Iterator[Tensor]:
        """Block by block."""
        for block in self.shards.blocks:
            if len(numbers := self.numbers(block)):
                yield from in_pieces(torch.from_numpy(self.shards.take(numbers)))

    def fingerprint(self) -> str:
        """SHA-256 of the shards' content and of which rows are held out."""
        return hashlib.sha256(f"{self.digest} {self.lot}".encode()).hexdigest()

    def draw(self, count: int, noise: torch.Generator) -> Batch:
        """Rows by chance, with replacement."""
        drawn = np.array([], np.int64)
        while len(drawn) < count:
            some = torch.randint(self.shards.ends[-1], (count,), generator=noise).numpy()
            drawn = np.concatenate([drawn, some[~self.lot.held_out(some)]])
        return Batch(torch.from_numpy(self.shards.take(drawn[:count])), count)

    def to(self, device: torch.device) -> Self:
        """The rows in batches on ``device``."""
        return replace(self, device=device)

    def batches(self, size: int, seed: int, epoch: int, group: Group) -> Iterator[Batch]:
        """All rows once. Raises DataError when a file has become unreadable."""
        for held in _ahead(self._read(size, seed, epoch, group)):
            x = held.x.to(self.device)
            first = 0
            for rows in held.batches:
                mine = group.part(rows)
                end = first + mine.stop - mine.start
                yield Batch(x[first:end], rows)
                first = end

    def _read(self, size: int, seed: int, epoch: int, group: Group) -> Iterator[Held]:
        """Window after window; the rows that do not fill a batch begin the next one."""
        rest = torch.from_numpy(self.shards.take(np.array([], np.int64)))
        left = len(self)
        for numbers in self._windows(seed, epoch):
            left -= len(numbers)
            rows = len(rest) + len(numbers)
            whole = rows if left == 0 else rows - rows % size
            batches = [min(size, whole - first) for first in range(0, whole, size)]
            places = _places(batches, size, whole, rows, group)
            new = numbers[places[places >= len(rest)] - len(rest)]
            old = torch.from_numpy(places[places < len(rest)])
            x = torch.cat([rest[old], torch.from_numpy(self.shards.take(new))])
            rest = x[len(x) - (rows - whole) :].clone()
            yield Held(x, batches)

    def _windows(self, seed: int, epoch: int) -> Iterator[Numbers]:
        """The numbers of each window's rows, shuffled."""
        blocks = self.shards.blocks
        shuffled = torch.randperm(len(blocks), generator=generator(seed, Purpose.BLOCKS, epoch))
        within = generator(seed, Purpose.ORDER, epoch)
        most = self.window_bytes // self.shards.row_bytes
        window: list[Numbers] = []
        held = 0
        for index in shuffled.tolist():
            numbers = self.numbers(blocks[index])
            if held and held + len(numbers) > most:
                yield _mixed(window, within)
                window, held = [], 0
            window.append(numbers)
            held += len(numbers)
        if held:
            yield _mixed(window, within)


def _mixed(blocks: list[Numbers], order: torch.Generator) -> Numbers:
    """The rows of some blocks in an order that does not depend on that of the blocks."""
    rows: Numbers = np.sort(np.concatenate(blocks))
    mixed: Numbers = rows[torch.randperm(len(rows), generator=order).numpy()]
    return mixed


def _places(batches: list[int], size: int, whole: int, rows: int, group: Group) -> Numbers:
    """Where in a window's order lie this process's slices and the rows left over."""
    mine = [
        np.arange(rows_of_batch)[group.part(rows_of_batch)] + number * size
        for number, rows_of_batch in enumerate(batches)
    ]
    return np.concatenate([*mine, np.arange(whole, rows)])


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in a thread while the one before is in use."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
