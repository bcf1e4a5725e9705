"""A limit on the time that a process needs to stop."""

import logging
import os
import threading
import time
from typing import Final

from service.settings import Settings

logger = logging.getLogger(__name__)

CLOSING_SECONDS: Final = 5.0  # for closing models and sockets after the last request
LOG_SECONDS: Final = 0.1  # for the last line of the log to be written


def longest_stop(settings: Settings) -> float:
    """Seconds from the signal to stop after which a process that still runs has to be killed."""
    return settings.notice_seconds + settings.drain_seconds + CLOSING_SECONDS


class StopTimeout:
    """Ends this process if it has not stopped so many seconds after ``start``.

    Its thread exists from the beginning, since a process that cannot stop is often one that cannot
    start threads any more.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._started = threading.Event()
        threading.Thread(target=self._run, name="stop-timeout", daemon=True).start()

    def start(self) -> None:
        """The process stops from now on. May be called by a signal handler, and twice."""
        self._started.set()

    def _run(self) -> None:
        self._started.wait()
        time.sleep(self._seconds)
        logger.error("the process has not stopped after %g s and is ended", self._seconds)
        time.sleep(LOG_SECONDS)
        os._exit(1)
