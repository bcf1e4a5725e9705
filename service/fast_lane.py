"""A verb's request in the fast lane: from the parser's callbacks to the reply's bytes.

``service/protocol.py`` decides which requests come here, and when it is their turn.
"""

import asyncio
import re
import time
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, Final, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.batcher import Call
from service.endpoint import (
    CLIENT_CLOSED_REQUEST,
    Admission,
    Reply,
    Target,
    problem,
    service_error,
)
from service.errors import DeadlineExceeded
from service.guard import Head, check_length
from service.reception import Reception
from service.verbs import VERBS

BY_PATH: Final = {verb.name.encode(): verb for verb in VERBS}
TARGET: Final = re.compile(
    rb"(?:/models/(?P<name>[A-Za-z0-9._-]+)(?:/versions/(?P<version>[1-9][0-9]{0,8}))?)?"
    rb"/(?P<verb>%b)" % b"|".join(BY_PATH)
)
JOIN_UP_TO: Final = 64 * 1024  # bytes of a body that cost less to copy than to write by themselves


@lru_cache(maxsize=256)
def target_of(path: bytes) -> Target | None:
    """What a verb's path asks for. None for all else; unusual spellings are left to FastAPI."""
    if (found := TARGET.fullmatch(path)) is None:
        return None
    verb, name, version = found["verb"], found["name"], found["version"]
    return Target(
        BY_PATH[verb],
        None if name is None else name.decode(),
        None if version is None else int(version),
    )


class Line(Protocol):
    """What a request needs of its connection."""

    parser: Any
    transport: asyncio.Transport
    server_state: Any
    reception: Reception

    def on_response_complete(self) -> None: ...


class FastCycle:
    """One request in the fast lane; stands where uvicorn has its RequestResponseCycle.

    The protocol reads and sets ``response_complete``, ``keep_alive``, ``disconnected``,
    ``more_body`` and ``message_event``.
    """

    message_event: Final = asyncio.Event()  # set by the protocol; nobody waits for it here

    def __init__(self, connection: Line, target: Target, head: Head, query: bytes) -> None:
        self.response_complete = False
        self.disconnected = False
        self.more_body = True
        self.keep_alive: bool = connection.parser.should_keep_alive()
        self.deadline = 0.0
        self._connection = connection
        self._target = target
        self._head = head
        self._query = query
        self._chunks: list[bytes] = []
        self._received_at = time.monotonic()
        self._op = "unknown"  # until the door is passed, as in the slow lane
        self._label = ""
        self._admission: Admission | None = None
        self._work: Coroutine[Call, None, Reply] | None = None
        self._call: Call | None = None

    def start(self) -> None:
        """Its turn has come: what the head alone decides is decided, before the body is read."""
        try:
            self._admission = self._admit()
        except Exception as error:
            self._fail(error)
        else:
            if not self.more_body:
                self._answer(self._admission)

    def receive(self, body: bytes) -> None:
        """A piece of the body; check_length has seen how long it will be."""
        if not self.response_complete:
            self._chunks.append(body)

    def receive_end(self) -> None:
        """The whole body is here."""
        self.more_body = False
        if self._admission is not None and not self.response_complete:
            self._answer(self._admission)

    def disconnect(self) -> None:
        """The client is gone: what waits in a queue leaves it and is never run."""
        if not self.response_complete:
            self.disconnected = True
            self._finish(CLIENT_CLOSED_REQUEST)

    def expire(self) -> None:
        """The deadline has passed."""
        self._fail(DeadlineExceeded("the time for this request is over"))

    def _admit(self) -> Admission:
        reception = self._connection.reception
        reception.keys.check(self._head)
        check_length(self._head, reception.max_body_bytes)
        self._op = self._target.verb.name
        model = reception.endpoint.find(self._target)
        self._label = model.label
        return reception.endpoint.admit(self._target.verb, model, self._head)

    def _answer(self, admission: Admission) -> None:
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._work = self._connection.reception.endpoint.answer(admission, self._query, body)
        self._step()
        if not self.response_complete:
            self.deadline = admission.deadline
            self._connection.reception.deadlines.add(self)

    def _step(self) -> None:
        """Run the work up to its next call of a batcher, without a task of asyncio's around it."""
        if self._work is None or self.response_complete:
            return
        try:
            self._call = self._work.send(None)
        except StopIteration as done:
            self._reply(done.value)
        except Exception as error:
            self._fail(error)
        else:
            self._call.wake = self._step

    def _fail(self, error: Exception) -> None:
        self._reply(problem(service_error(error, "POST", f"/{self._target.verb.name}")))

    def _reply(self, reply: Reply) -> None:
        connection = self._connection
        request_id = connection.reception.request_ids.of(self._head)
        pieces = [STATUS_LINE[reply.status]]
        for name, value in (*connection.server_state.default_headers, *reply.headers):
            pieces += (name, b": ", value, b"\r\n")
        pieces += (b"x-request-id: ", request_id, b"\r\n")
        if self._label:
            pieces += (b"x-model: ", self._label.encode(), b"\r\n")
        if not self.keep_alive:
            pieces.append(b"connection: close\r\n")
        pieces.append(b"\r\n")
        if len(reply.body) <= JOIN_UP_TO:
            pieces.append(reply.body)
            connection.transport.write(b"".join(pieces))
        else:
            connection.transport.writelines((b"".join(pieces), reply.body))
        self._finish(reply.status)
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()

    def _finish(self, status: int) -> None:
        self.response_complete = True
        self._connection.reception.deadlines.discard(self)
        if self._call is not None and not self._call.done():
            self._call.cancel()
        if self._work is not None:
            self._work.close()
        self._call = self._admission = None  # an idle connection keeps no model that was unloaded
        elapsed = time.monotonic() - self._received_at
        self._connection.reception.metrics.observe_request(self._op, self._label, status, elapsed)
