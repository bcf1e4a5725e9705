"""Memory that is freed stays with the process, so that the next batch finds it.

By default glibc returns large blocks to the system when they are freed, and each batch pays a page
fault for every 4 KiB of its arrays again.
"""

import ctypes
import sys
from typing import Final

M_TRIM_THRESHOLD: Final = -1  # of malloc.h
M_MMAP_THRESHOLD: Final = -3
HEAP_BYTES: Final = 32 * 2**20
"""Blocks up to this size come from the heap: the most that glibc allows."""

KEPT_BYTES: Final = 64 * 2**20
"""Free bytes at the end of a heap above which glibc returns them to the system."""


def keep_freed_memory() -> bool:
    """Set glibc's thresholds; returns False where there is no glibc."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, HEAP_BYTES) and mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
