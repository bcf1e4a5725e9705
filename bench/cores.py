"""The cores of this machine during a run: their speed, and the share of other processes."""

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from types import TracebackType
from typing import Final, Self

TURNS: Final = 6000
INTERVAL_SECONDS: Final = 0.05
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class CoreSpeed:
    """Samples how fast a core runs a fixed loop, in a thread of its own while the block runs.

    The core of a virtual machine slows down and speeds up by half within seconds, with the load of
    its neighbours; ``million_turns`` makes runs comparable. A sample takes about 0.2 ms of every
    50 ms.
    """

    def __init__(self, core: int) -> None:
        self._core = core
        self._samples: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def million_turns(self) -> float:
        """Million turns of the loop a CPU second, the mean over the block."""
        return mean(self._samples)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        os.sched_setaffinity(0, {self._core})  # of this thread
        self._samples.append(_turns())
        while not self._stop.wait(INTERVAL_SECONDS):
            self._samples.append(_turns())


def busy_seconds(cores: Sequence[int]) -> float:
    """The seconds that these cores have spent on anything but idling."""
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    ticks = {name: [int(value) for value in values[:8]] for name, *values in lines if values}
    wanted = [ticks[f"cpu{core}"] for core in cores]
    # user, nice, system, idle, iowait, irq, softirq, steal
    return sum(sum(values) - values[3] - values[4] for values in wanted) / TICKS_PER_SECOND


def _turns() -> float:
    began, total = time.thread_time(), 0
    for turn in range(TURNS):
        total += turn
    return TURNS / 1e6 / (time.thread_time() - began)
