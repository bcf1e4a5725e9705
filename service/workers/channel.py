"""Calls between the supervisor and a worker: one line of JSON each, both ways on one socket.

Each side answers the calls of the other while it waits for its own. An error that the other side
raises, a ServiceError, is raised here again.
"""

import asyncio
import itertools
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from service.errors import BundleRefused, InternalError, ServiceError, UnknownModel

logger = logging.getLogger(__name__)

MAX_LINE: Final = 2**26  # bytes; what is said of thousands of versions goes in one line
ERRORS: Final = {kind.__name__: kind for kind in (BundleRefused, InternalError, UnknownModel)}
Answer = Callable[..., Awaitable[None]]


class Gone(Exception):
    """The other side is."""


class Channel:
    """One end. ``answers`` has a coroutine function for each call that the other side may make."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: Mapping[str, Answer],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answers = answers
        self._numbers = itertools.count()
        self._calls: dict[int, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True

    @classmethod
    async def over(cls, connection: socket.socket, answers: Mapping[str, Answer]) -> "Channel":
        """A channel over a connected socket, which it closes in the end."""
        streams = await asyncio.open_unix_connection(sock=connection, limit=MAX_LINE)
        return cls(*streams, answers)

    async def run(self, heard: Callable[[], None] = lambda: None) -> None:
        """Read and answer until the other side is gone; ``heard`` is told of every line."""
        try:
            while line := await self._reader.readline():
                heard()
                self._take(json.loads(line))
        except ConnectionError:
            pass
        finally:
            self.close()

    async def call(self, what: str, /, **arguments: Any) -> None:
        """Have the other side do something, and wait until it has. Raises Gone."""
        if not self._open:
            raise Gone
        number = next(self._numbers)
        done = self._calls[number] = asyncio.get_running_loop().create_future()
        self._send({"call": what, "number": number, "arguments": arguments})
        try:
            await done
        finally:
            del self._calls[number]

    def tell(self, what: str, /, **arguments: Any) -> None:
        """Have the other side do something, and do not wait."""
        if self._open:
            self._send({"call": what, "arguments": arguments})

    def close(self) -> None:
        """Whoever waits for the other side is told that it is gone."""
        self._open = False
        self._writer.close()
        for waiting in self._calls.values():
            if not waiting.done():
                waiting.set_exception(Gone())

    def _send(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")

    def _take(self, message: dict[str, Any]) -> None:
        if "call" in message:
            task = asyncio.create_task(self._answer(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif (waiting := self._calls.get(message["reply"])) and not waiting.done():
            if error := message.get("error"):
                kind = ERRORS.get(error.pop("kind"), InternalError)
                waiting.set_exception(kind(**error))
            else:
                waiting.set_result(None)

    async def _answer(self, message: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"reply": message.get("number")}
        try:
            await self._answers[message["call"]](**message["arguments"])
        except ServiceError as error:
            reply["error"] = _to_json(error)
        except Exception:  # the other side is not to wait for ever
            logger.exception("%s failed. This is a bug.", message["call"])
            reply["error"] = _to_json(InternalError("another process of this service failed"))
        if reply["reply"] is not None and self._open:
            self._send(reply)


def _to_json(error: ServiceError) -> dict[str, Any]:
    return {
        "kind": type(error).__name__,
        "detail": error.detail,
        "expected": error.expected,
        "given": error.given,
    }
