"""The HTTP connection: uvicorn's, with a fast lane for the verbs.

A POST to a verb whose body has a length is answered here, from the parser's callbacks, without
scope, task and ASGI messages; all else goes uvicorn's way, to FastAPI. Both lanes ask the same
Reception and answer byte for byte the same; ``tests/service/test_lanes.py`` holds that.
"""

import asyncio
import re
import time
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.endpoint import Admission, Reply, Target, problem
from service.errors import DeadlineExceeded
from service.guard import Head, check_length, head_of
from service.middleware import CLIENT_CLOSED_REQUEST, service_error
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


class Connection(HttpToolsProtocol):
    """uvicorn's protocol class, of which it makes one for each connection."""

    cycle: Any  # uvicorn's RequestResponseCycle, or a FastCycle in its place
    deadline: float

    def __init__(self, *args: Any, reception: Reception, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reception = reception
        self.answering: Any = None  # the cycle whose turn it is, where ``cycle`` is the latest read
        self.held = False  # nothing is begun until the client has read more of its replies

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        path, _, query = self.url.partition(b"?")
        target = target_of(path) if self.parser.get_method() == b"POST" else None
        head = head_of(self.headers)
        if target is None or b"content-length" not in head or self._needs_asgi(head):
            self._take_slow_lane()
            return
        waits = self.held or self._owes_reply()
        self.cycle = FastCycle(self, target, head, query)
        if waits:  # for the replies to what was asked before on this connection
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        if isinstance(self.cycle, FastCycle):
            self.cycle.receive(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if isinstance(self.cycle, FastCycle):
            self.cycle.receive_end()
        else:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.reception.idle.discard(self)
        super().connection_lost(exc)
        for cycle in (self.answering, *(cycle for cycle, _ in self.pipeline)):
            if isinstance(cycle, FastCycle):
                cycle.disconnect()
            elif cycle is not None and not cycle.response_complete:  # uvicorn tells the latest only
                cycle.disconnected = True
                cycle.message_event.set()

    def on_response_complete(self) -> None:
        """On to the next request, once the client has read its replies: they must not pile up."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.write_paused:
            self.flow.pause_reading()
            self.held = True
        else:
            self._go_on()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.held:
            self.held = False
            self._go_on()

    def send_400_response(self, msg: str) -> None:
        """What came is not HTTP. Said in place of a reply that is still to come, it would be taken
        for that; the connection then only closes, after the last reply where there can be one."""
        if not self._owes_reply() or (self.cycle.more_body and not self.pipeline):
            super().send_400_response(msg)
        elif self.cycle.more_body:
            self.transport.close()
        else:
            self.flow.pause_reading()
            self.cycle.keep_alive = False

    def _owes_reply(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _go_on(self) -> None:
        """As uvicorn has it, but for the idle time, which one timer keeps for all connections."""
        if self.pipeline:
            # Not from here: the stack would grow with every request that is answered at once.
            self.loop.call_soon(self._start_next)
        else:
            self.flow.resume_reading()
            self.deadline = time.monotonic() + self.timeout_keep_alive
            self.reception.idle.add(self)

    def _start_next(self) -> None:
        if self.transport.is_closing():
            return
        cycle, app = self.pipeline.pop()
        if not self.pipeline:  # the rest of its body may be still to come
            self.flow.resume_reading()
        self._start_asgi_task(cycle, app)

    def _unset_keepalive_if_required(self) -> None:
        self.reception.idle.discard(self)

    def expire(self) -> None:
        """Nothing was asked for too long."""
        self.reception.idle.discard(self)
        self.timeout_keep_alive_handler()

    def _needs_asgi(self, head: Head) -> bool:
        return (
            self.expect_100_continue
            or b"transfer-encoding" in head
            or self.parser.should_upgrade()
            or self.parser.get_http_version() != "1.1"
        )

    def _take_slow_lane(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """The turn of this request has come."""
        self.held = False
        self.answering = cycle
        if isinstance(cycle, FastCycle):
            cycle.start()
        else:
            super()._start_asgi_task(cycle, app)


class FastCycle:
    """One request in the fast lane; stands where uvicorn has its RequestResponseCycle.

    The protocol reads and sets ``response_complete``, ``keep_alive``, ``disconnected``,
    ``more_body`` and ``message_event``.
    """

    message_event: Final = asyncio.Event()  # set by the protocol; nobody waits for it here

    def __init__(self, connection: Connection, target: Target, head: Head, query: bytes) -> None:
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
        self._work: Coroutine[Any, Any, Reply] | None = None
        self._call: asyncio.Future[Any] | None = None

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

    def _step(self, call: "asyncio.Future[Any] | None" = None) -> None:
        """Run the work up to its next call of a batcher, without a task of asyncio's around it."""
        del call
        if self._work is None or self.response_complete:
            return
        try:
            self._call = self._work.send(None)
        except StopIteration as done:
            self._reply(done.value)
        except Exception as error:
            self._fail(error)
        else:
            self._call.add_done_callback(self._step)

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
        elapsed = time.monotonic() - self._received_at
        self._connection.reception.metrics.observe_request(self._op, self._label, status, elapsed)
