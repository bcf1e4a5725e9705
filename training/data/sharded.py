"""A data set in a folder of shards, which is streamed: check it once and split it."""

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
from training.data.windows import HeldOutSplit, ShuffledWindows
from training.system.seeds import Purpose, derive_seed
from vae.manifest import InputSpec

HELD_OUT_BYTES = 1 << 28
"""At most 256 MiB of held-out rows, which are kept in memory."""


@dataclass(frozen=True, eq=False)
class StreamedDataset:
    """Training rows that are streamed from files."""

    rows: ShuffledWindows
    input: InputSpec

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class ShardedDataset:
    """All rows of a folder of shards. ``digest`` is the SHA-256 of their content."""

    shards: Shards
    input: InputSpec
    digest: str

    def split(
        self, held_out: float, seed: int, window_bytes: int
    ) -> tuple[StreamedDataset, Dataset]:
        """Training rows, streamed in windows of ``window_bytes``, and held-out rows in memory.

        A row is held out with probability ``held_out``, decided by a hash of ``seed`` and its
        number, so that shards added at the end do not change the split of earlier rows. Raises
        DataError if a part would be empty.
        """
        total = self.shards.ends[-1]
        share = min(held_out, HELD_OUT_BYTES / (total * self.shards.row_bytes))
        held_out_split = HeldOutSplit(derive_seed(seed, Purpose.SPLIT), share)
        train = ShuffledWindows(self.shards, self.digest, held_out_split, window_bytes)
        numbers = _held_out(self.shards, held_out_split)
        if not 0 < len(numbers) < total:
            raise DataError(
                f"a held-out fraction of {held_out} leaves {len(numbers)} of {total} rows for "
                "evaluation; both parts need at least one"
            )
        unseen = Dataset(torch.from_numpy(self.shards.take(numbers)), self.input)
        return StreamedDataset(train, self.input), unseen


def load_shards(paths: Sequence[Path], columns: Sequence[str] | None) -> ShardedDataset:
    """Open these files as a data set. Each is read once to check it and to find its range.

    Raises DataError with the file name if a file cannot be read, differs from the first one, or
    contains a value that is not a finite number.
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
    return ShardedDataset(shards, spec, digest.hexdigest())


def _held_out(shards: Shards, held_out_split: HeldOutSplit) -> Numbers:
    blocks = (np.arange(first, end) for first, end in shards.blocks)
    return np.concatenate([block[held_out_split.held_out(block)] for block in blocks])
