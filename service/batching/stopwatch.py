"""How long a thread computed, without the time that it waited for a CPU."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

SCHEDSTAT: Final = Path("/proc/thread-self/schedstat")


def busy_seconds(function: Callable[[], object]) -> float:
    """Seconds that ``function`` takes, less those in which this thread waited for a CPU.

    On a busy machine a long batch always waits and a short one often does not, so that the elapsed
    time of the fastest run favours short batches. Time that the thread sleeps counts: it may wait
    for a GPU.
    """
    started = time.perf_counter()
    waited = run_queue_seconds()
    function()
    waited = run_queue_seconds() - waited
    return time.perf_counter() - started - waited


def run_queue_seconds() -> float:
    """Seconds that this thread has waited for a CPU so far; 0 if the system does not tell."""
    try:
        _, waited, _ = SCHEDSTAT.read_text().split()
    except (OSError, ValueError):
        return 0.0
    return int(waited) / 1e9
