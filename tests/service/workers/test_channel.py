import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.errors import BundleRefused, InternalError
from service.workers.channel import Channel, ChannelClosed


class Ends:
    """Both ends of a channel; what the far end answers is in ``far_answers``."""

    def __init__(self) -> None:
        self.near: Channel
        self.far: Channel
        self.heard: list[Any] = []

    async def open(self) -> None:
        one, other = socket.socketpair()
        self.near = await Channel.connect(one, {"note": self.note})
        self.far = await Channel.connect(
            other, {"note": self.note, "refuse": self.refuse, "break": self.fail, "hang": self.hang}
        )
        self.running = [asyncio.create_task(end.run()) for end in (self.near, self.far)]

    async def note(self, **what: Any) -> None:
        self.heard.append(what)

    async def refuse(self) -> None:
        raise BundleRefused("why", expected="x", given=3)

    async def fail(self) -> None:
        raise ValueError("secret")

    async def hang(self) -> None:
        await asyncio.sleep(60)


def run(body: Callable[[Ends], Awaitable[None]]) -> None:
    async def main() -> None:
        ends = Ends()
        await ends.open()
        await body(ends)
        ends.near.close()
        ends.far.close()
        await asyncio.gather(*ends.running)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_both_ends_call_and_answer_at_the_same_time() -> None:
    async def body(ends: Ends) -> None:
        calls = [ends.near.call("note", n=n) for n in range(50)]
        calls += [ends.far.call("note", text="ü" * 70_000, n=n) for n in range(50)]
        await asyncio.gather(*calls)
        assert sorted(what["n"] for what in ends.heard) == sorted([*range(50)] * 2)

    run(body)


def test_an_error_of_the_service_arrives_as_it_was_raised() -> None:
    async def body(ends: Ends) -> None:
        with pytest.raises(BundleRefused) as refused:
            await ends.near.call("refuse")
        error = refused.value
        assert (error.detail, error.expected, error.given) == ("why", "x", 3)

    run(body)


def test_a_bug_is_logged_there_and_leaves_nobody_waiting_here(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def body(ends: Ends) -> None:
        with pytest.raises(InternalError) as failed:
            await ends.near.call("break")
        assert "secret" not in failed.value.detail

    with caplog.at_level(logging.ERROR):
        run(body)
    assert "secret" in caplog.text


def test_whoever_waits_is_told_when_the_other_end_goes() -> None:
    async def body(ends: Ends) -> None:
        waiting = asyncio.create_task(ends.near.call("hang"))
        ends.near.notify("note", n=1)
        await asyncio.sleep(0.05)
        ends.far.close()
        with pytest.raises(ChannelClosed):
            await waiting
        with pytest.raises(ChannelClosed):
            await ends.near.call("note")
        ends.near.notify("note")
        assert ends.heard == [{"n": 1}]

    run(body)
