"""A verb's request in the fast lane: from the parser's callbacks to the reply's bytes.

``service/http/connection.py`` decides which requests come here, and when it is their turn.
"""

import asyncio
import time
from typing import Any, Final, Protocol

from service.batching.work import Work
from service.errors import ServiceError
from service.http.context import AppContext
from service.http.endpoint import CLIENT_CLOSED_REQUEST, Admission, Reply
from service.http.guard import Head, check_length
from service.http.target import Target
from service.models.model import Model

CLOSE_LINE: Final = b"connection: close\r\n"
JOIN_UP_TO: Final = 64 * 1024  # bytes of a body that cost less to copy than to write by themselves


class Line(Protocol):
    """What a request needs of its connection."""

    transport: asyncio.Transport
    server_state: Any
    context: AppContext

    def on_response_complete(self) -> None: ...


class FastCycle(Work[Reply]):
    """One request in the fast lane; stands where uvicorn has its RequestResponseCycle.

    The protocol reads and sets ``response_complete``, ``keep_alive``, ``disconnected``,
    ``more_body`` and ``message_event``; it calls ``start`` when it is this request's turn.
    """

    message_event: Final = asyncio.Event()  # set by the protocol; nobody waits for it here
    admission: Admission | None = None
    response_complete = False
    disconnected = False
    more_body = True
    _chunks: tuple[bytes, ...] = ()
    _model: Model | None = None  # until the door is passed, as in the slow lane
    _op = "unknown"
    _error: ServiceError | None = None
    _started = 0
    _request_id = b""

    def __init__(
        self, connection: Line, target: Target, head: Head, query: bytes, *, keep_alive: bool
    ) -> None:
        self.target, self.head, self.query = target, head, query
        self.keep_alive = keep_alive
        self._connection = connection
        self._received_at = time.monotonic()

    def start(self) -> None:
        """Its turn has come: what the head alone decides is decided, before the body is read."""
        self._started = 1
        self._connection.context.metrics.in_flight += 1
        try:
            self._pass_door()
            self._op = self.target.verb.name
            self._model = self._connection.context.endpoint.find(self.target)
            self.admission = self._connection.context.endpoint.admit(self.target.verb, self.head)
        except Exception as error:
            self.fail(error)
        else:
            if not self.more_body:
                self._answer(self._model, self.admission)

    def receive(self, body: bytes) -> None:
        """A piece of the body; check_length has seen how long it will be."""
        if not self.response_complete:
            self._chunks += (body,)

    def receive_end(self) -> None:
        """The whole body is here."""
        self.more_body = False
        if self._model is not None and self.admission is not None and not self.response_complete:
            self._answer(self._model, self.admission)

    def disconnect(self) -> None:
        """The client is gone: what waits in a queue leaves it and is never run."""
        if not self.response_complete:
            self.disconnected = True
            self.abandon()
            self._finish(CLIENT_CLOSED_REQUEST)

    def succeed(self, result: Reply) -> None:
        """Write the reply."""
        connection, status = self._connection, result.status
        context = connection.context
        self._request_id = context.request_ids.of(self.head)
        common = connection.server_state.default_headers
        head = context.head_of_reply(result, common, self._request_id, self._last_lines())
        if len(result.body) <= JOIN_UP_TO:
            connection.transport.write(head + result.body)
        else:
            connection.transport.writelines((head, result.body))
        self._finish(status)
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()

    def fail(self, error: Exception) -> None:
        """Write the reply that the error stands for."""
        self.abandon()
        context = self._connection.context
        reply, self._error = context.refuse(error, "POST", f"/{self.target.verb.name}")
        self.succeed(reply)

    def _pass_door(self) -> None:
        context = self._connection.context
        context.keys.check(self.head)
        check_length(self.head, context.settings.max_body_bytes)

    def _answer(self, model: Model, admission: Admission) -> None:
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = ()
        context = self._connection.context
        self.deadline = self._received_at + admission.timeout
        context.deadlines.add(self)  # before anything of the request runs
        self.begin(context.endpoint.answer(self.target.verb, model, admission, self.query, body))

    def _last_lines(self) -> bytes:
        lines = b"" if self._model is None else self._model.label_line
        if self.waited and self._connection.context.settings.server_timing:
            timing = self._connection.context.timing_of(self.queue_seconds, self.compute_seconds)
            lines += b"server-timing: %b\r\n" % timing
        return lines if self.keep_alive else lines + CLOSE_LINE

    def _finish(self, status: int) -> None:
        self.response_complete = True
        context = self._connection.context
        context.deadlines.discard(self)
        context.metrics.in_flight -= self._started
        label = "" if self._model is None else self._model.label
        self._model = self._call = self._coroutine = None  # an idle connection keeps no model
        seconds = time.monotonic() - self._received_at
        context.part(
            self._op, label, status, seconds, self._request_id, self.head, self, self._error
        )
