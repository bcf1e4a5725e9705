"""Deadlines of many requests by one timer.

A timer of its own for each request would cost as much as reading the request. Here one timer ticks
while anything waits, so that a deadline is kept to within a tick.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Final, Protocol

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 1.0


class Waiting(Protocol):
    """Something with a deadline, a time of the monotonic clock."""

    deadline: float

    def expire(self) -> None:
        """The time is over."""


class Deadlines:
    """Calls ``expire`` on what was added and is not discarded when its deadline has passed."""

    def __init__(self, tick_seconds: float) -> None:
        self._tick_seconds = tick_seconds
        self._waiting: dict[Waiting, None] = {}  # a set in the order of its additions
        self._ticking = False
        self._next_tick = 0.0

    def add(self, waiting: Waiting) -> None:
        self._waiting[waiting] = None
        if not self._ticking:
            self._ticking = True
            self._tick_later()

    def discard(self, waiting: Waiting) -> None:
        self._waiting.pop(waiting, None)

    def __iter__(self) -> Iterator[Waiting]:
        """From the one that was added first."""
        return iter(self._waiting)

    def __contains__(self, waiting: object) -> bool:
        return waiting in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def _tick_later(self) -> None:
        self._next_tick = time.monotonic() + self._tick_seconds
        asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)

    def _tick(self) -> None:
        now = time.monotonic()
        self._give_back(now - self._next_tick)
        for waiting in [each for each in self._waiting if each.deadline <= now]:
            try:
                waiting.expire()
            except Exception:  # the others have deadlines, too
                self.discard(waiting)
                logger.exception("a deadline could not be kept. This is a bug.")
        self._ticking = bool(self._waiting)
        if self._ticking:
            self._tick_later()

    def _give_back(self, pause: float) -> None:
        """After a pause of the whole process (SIGSTOP, a live migration) all have that much longer.

        What arrived during the pause is read before the next tick.
        """
        if pause > PAUSE_SECONDS:
            for waiting in self._waiting:
                waiting.deadline += pause
