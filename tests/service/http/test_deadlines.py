"""Deadlines of many requests by one timer."""

import asyncio
import time

from service.http.deadlines import Deadlines


class Waiting:
    def __init__(self, deadline: float, error: Exception | None = None) -> None:
        self.deadline = deadline
        self.error = error
        self.expired = 0

    def expire(self) -> None:
        self.expired += 1
        deadlines.discard(self)
        if self.error:
            raise self.error


deadlines = Deadlines(tick_seconds=0.001)


def test_one_callback_that_raises_stops_no_other() -> None:
    async def body() -> list[int]:
        now = time.monotonic()
        all_of_them = [Waiting(now, ValueError("no")), Waiting(now), Waiting(now + 0.02)]
        for each in all_of_them:
            deadlines.add(each)
        await asyncio.sleep(0.1)
        return [each.expired for each in all_of_them]

    assert asyncio.run(body()) == [1, 1, 1]
    assert len(deadlines) == 0


def test_a_pause_of_the_process_is_given_back() -> None:
    async def body() -> list[int]:
        waiting = Waiting(time.monotonic() + 0.5)
        deadlines.add(waiting)
        await asyncio.sleep(0.01)
        time.sleep(1.5)  # noqa: ASYNC251 (as SIGSTOP does)
        await asyncio.sleep(0.1)
        early = waiting.expired
        await asyncio.sleep(0.6)
        return [early, waiting.expired]

    assert asyncio.run(body()) == [0, 1]
