"""Functions with a time limit, each in a daemon thread.

Python cannot stop a thread. One that exceeds its limit is abandoned: it may run on, for instance in
an endless loop or a read from a hung disk, and does not keep the process from ending. The threads
of ``asyncio.to_thread`` would.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def start(function: Callable[[], T]) -> Future[T]:
    """Run a function in a new daemon thread."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # nobody can cancel it from here on

    def run() -> None:
        try:
            result = function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name="time-limit", daemon=True).start()
    return future


async def wait(future: Future[T], seconds: float | None) -> T:
    """The result of ``start``, awaited. Raises TimeoutError after ``seconds``; None is no limit."""
    return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
