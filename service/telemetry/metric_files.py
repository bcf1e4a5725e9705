"""The files in which workers share metrics, with their space reserved.

prometheus_client maps these files into memory. A process that writes to a page for which the file
system has no space is killed by SIGBUS, so every page is allocated before it is mapped.
"""

import logging
import mmap
import os
from pathlib import Path
from typing import Any, Final

from prometheus_client import multiprocess, values
from prometheus_client.mmap_dict import MmapedDict

logger = logging.getLogger(__name__)

KINDS: Final = ("counter", "histogram", "gauge_livesum", "gauge_livemax")
INITIAL_BYTES: Final = 2**18
ENTRY_BYTES: Final = 32  # of an entry, at most, besides its key


def reserve(directory: Path, slot: int) -> None:
    """Make the files of a slot, with space for thousands of values.

    Raises OSError if there is no space.
    """
    directory.mkdir(exist_ok=True)
    for kind in KINDS:
        _reserve_file(directory / f"{kind}_{slot}.db")


def share_values(directory: Path, slot: int) -> None:
    """Keep the values of metrics made from now on in files, for all workers to read.

    The files belong to a slot and not to a process: a worker that replaces another continues its
    counts, and there are never more files than slots. Making a metric raises OSError if there is no
    space for a file.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)  # read when a value is made
    values.MmapedDict = ReservedFile  # type: ignore[assignment, attr-defined]
    values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]


def remove_gauges(directory: Path, slot: int) -> None:
    """Remove the gauges of a worker that ended from the sums; its counts stay in them."""
    multiprocess.mark_process_dead(slot, str(directory))  # type: ignore[no-untyped-call]


class ReservedFile(MmapedDict):
    """A file of values that never writes to a page without space."""

    _m: mmap.mmap

    def __init__(self, filename: str, **options: Any) -> None:
        _reserve_file(Path(filename))
        super().__init__(filename, **options)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        while self._used + len(key.encode()) + ENTRY_BYTES > self._capacity:
            self._grow(2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _grow(self, capacity: int) -> None:
        """Double the space; without space go on in memory that the other workers do not read."""
        try:
            _extend(self._f.fileno(), capacity)
            grown = mmap.mmap(self._f.fileno(), capacity)
        except OSError as error:
            logger.error("metrics of this process are no longer shown: %s", error)
            grown = mmap.mmap(-1, capacity)
        grown[: self._used] = self._m[: self._used]
        self._m, self._capacity = grown, capacity


def _reserve_file(path: Path) -> None:
    with path.open("ab") as file:
        if os.fstat(file.fileno()).st_size < INITIAL_BYTES:
            _extend(file.fileno(), INITIAL_BYTES)


def _extend(descriptor: int, size: int) -> None:
    """Append zeros: unlike ``truncate`` it allocates the space, on every system."""
    while (missing := size - os.fstat(descriptor).st_size) > 0:
        os.write(descriptor, bytes(missing))
