"""Calls between the supervisor and a worker: one line of JSON each, in both directions of a socket.

Each side handles the calls of the other while it waits for its own. A ServiceError that the other
side raises is raised here again.
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

MAX_LINE: Final = 2**26  # bytes; the statuses of thousands of versions are one line
ERRORS: Final = {kind.__name__: kind for kind in (BundleRefused, InternalError, UnknownModel)}
Handler = Callable[..., Awaitable[None]]


class ChannelClosed(Exception):
    """The other side has closed the channel, or its process has ended."""


class Channel:
    """One end; ``handlers`` has a coroutine function for each call of the other side."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handlers: Mapping[str, Handler],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._handlers = handlers
        self._numbers = itertools.count()
        self._calls: dict[int, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True

    @classmethod
    async def connect(cls, connection: socket.socket, handlers: Mapping[str, Handler]) -> "Channel":
        """A channel over a connected socket, which the channel closes in the end."""
        streams = await asyncio.open_unix_connection(sock=connection, limit=MAX_LINE)
        return cls(*streams, handlers)

    async def run(self, on_message: Callable[[], None] = lambda: None) -> None:
        """Handle messages until the other side closes; call ``on_message`` for each of them."""
        try:
            while line := await self._reader.readline():
                on_message()
                self._receive(json.loads(line))
        except ConnectionError:
            pass
        finally:
            self.close()

    async def call(self, name: str, /, **arguments: Any) -> None:
        """Have the other side run a handler, and wait until it is done.

        Raises ChannelClosed, and the ServiceError that the handler raises.
        """
        if not self._open:
            raise ChannelClosed
        number = next(self._numbers)
        done = self._calls[number] = asyncio.get_running_loop().create_future()
        self._send({"call": name, "number": number, "arguments": arguments})
        try:
            await done
        finally:
            del self._calls[number]

    def notify(self, name: str, /, **arguments: Any) -> None:
        """Have the other side run a handler, and do not wait; nothing happens if it is gone."""
        if self._open:
            self._send({"call": name, "arguments": arguments})

    def close(self) -> None:
        """Close this end; calls that wait for the other side raise ChannelClosed."""
        self._open = False
        self._writer.close()
        for waiting in self._calls.values():
            if not waiting.done():
                waiting.set_exception(ChannelClosed())

    def _send(self, message: dict[str, Any]) -> None:
        self._writer.write(to_line(message))

    def _receive(self, message: dict[str, Any]) -> None:
        if "call" in message:
            task = asyncio.create_task(self._handle(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif (waiting := self._calls.get(message["reply"])) and not waiting.done():
            if error := message.get("error"):
                kind = ERRORS.get(error.pop("kind"), InternalError)
                waiting.set_exception(kind(**error))
            else:
                waiting.set_result(None)

    async def _handle(self, message: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"reply": message.get("number")}
        try:
            await self._handlers[message["call"]](**message["arguments"])
        except ServiceError as error:
            reply["error"] = _to_json(error)
        except Exception:  # without a reply the other side would wait for ever
            logger.exception("%s failed. This is a bug.", message["call"])
            reply["error"] = _to_json(InternalError("another process of this service failed"))
        if reply["reply"] is not None and self._open:
            self._send(reply)


def to_line(message: dict[str, Any]) -> bytes:
    """A message as it is sent."""
    return json.dumps(message).encode() + b"\n"


def _to_json(error: ServiceError) -> dict[str, Any]:
    return {
        "kind": type(error).__name__,
        "detail": error.detail,
        "expected": error.expected,
        "given": error.given,
    }
