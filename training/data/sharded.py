"""A data set that does not lie in memory: its one pass over the files, and its split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from training.data.dataset import DataError, Dataset
from training.data.numpy_files import bounds
from training.data.shard import Numbers
from training.data.shards import Shards, open_shards
from training.data.windows import Lot, Windows
from training.system.seeds import Purpose, derive
from vae.manifest import InputSpec

HELD_OUT_BYTES = 1 << 28
"""Held-out rows lie in memory, 256 MiB of them at most: a mean needs no more."""


@dataclass(frozen=True, eq=False)
class Streamed:
    """Training rows that are read as they are needed, and what one row is."""

    rows: Windows
    input: InputSpec

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Sharded:
    """All rows of a folder of shards, checked; ``digest`` is the SHA-256 of their content."""

    shards: Shards
    input: InputSpec
    digest: str

    def split(self, held_out: float, seed: int, window_bytes: int) -> tuple[Streamed, Dataset]:
        """The training rows, read by windows of ``window_bytes``, and the held-out rows in memory.

        Whether a row is held out is drawn with probability ``held_out`` from ``seed`` and its
        number, so that the parts stay what they are when shards are added at the end. Raises
        DataError when either part would be empty.
        """
        total = self.shards.ends[-1]
        share = min(held_out, HELD_OUT_BYTES / (total * self.shards.row_bytes))
        lot = Lot(derive(seed, Purpose.SPLIT), share)
        train = Windows(self.shards, self.digest, lot, window_bytes)
        numbers = _held_out(self.shards, lot)
        if not 0 < len(numbers) < total:
            raise DataError(
                f"a held-out fraction of {held_out} leaves {len(numbers)} of {total} rows for "
                "evaluation; both parts need one or more"
            )
        unseen = Dataset(torch.from_numpy(self.shards.take(numbers)), self.input)
        return Streamed(train, self.input), unseen


def load_shards(paths: Sequence[Path], columns: Sequence[str] | None) -> Sharded:
    """The data set in these files, each of which is read once, from its first row to its last.

    Raises DataError, naming the file, for what cannot be read, is not like the first file or is
    not a finite number.
    """
    shards = open_shards(paths, columns)
    first = shards.files[0]
    digest = hashlib.sha256(f"{first.dtype} {first.shape}".encode())
    low, high = np.inf, -np.inf
    for start, end in shards.blocks:
        rows = shards.take(np.arange(start, end))
        digest.update(rows.data)
        low, high = min(low, float(rows.min())), max(high, float(rows.max()))
    vector = len(first.shape) == 1
    spec = InputSpec(
        kind="vector" if vector else "image",
        shape=first.shape,
        dtype="uint8" if first.dtype == np.uint8 else "float32",
        range=bounds(low, high, first.dtype, "vector" if vector else "image"),
        columns=first.columns,
    )
    return Sharded(shards, spec, digest.hexdigest())


def _held_out(shards: Shards, lot: Lot) -> Numbers:
    blocks = (np.arange(first, end) for first, end in shards.blocks)
    return np.concatenate([block[lot.held_out(block)] for block in blocks])
