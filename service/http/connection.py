"""One connection: a state machine that reads one request at a time and owes it one reply.

::

    IDLE ──first byte──▶ HEAD ──empty line──▶ BODY ──last byte──▶ ANSWERING ──reply──▶ IDLE
                                                                      │ client does not read
                                                                      ▼
                                              CLOSING             WRITING ──read──▶ IDLE

Any state goes to CLOSING when the connection is to be closed, and from there only to its end. What
is received behind a request waits unread until that request is answered, so a connection never
holds two requests. A reply may be sent while the state is still BODY; the rest of the body is then
read and dropped.

In every state ``deadline`` is set, a time of the monotonic clock: for the client's next move, or
for the answer. A POST to a verb is an ``Inference``; any other request goes to the ASGI application
by uvicorn's ``RequestResponseCycle``. uvicorn makes one ``Connection`` for each socket.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Iterable
from enum import Enum, auto
from time import monotonic
from typing import Any, Final, Protocol
from urllib.parse import unquote

import httptools
from uvicorn import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from service.errors import Malformed, QueueFull, ReceiptTimeout, ServiceError, Unavailable
from service.http.body import Body, ChunkedBody, SizedBody
from service.http.context import AppContext
from service.http.head import Head
from service.http.inference import Inference
from service.http.limits import BodyRate
from service.http.reply import Reply
from service.http.target import Target, target_of
from service.telemetry.record import RequestRecord

logger = logging.getLogger(__name__)

EMPTY_LINE: Final = b"\r\n\r\n"
CLOSE_LINE: Final = b"connection: close\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
PROCESSING: Final = b"HTTP/1.1 102 Processing\r\n\r\n"
PROBE_SECONDS: Final = 0.02
JOIN_BYTES: Final = 64 * 1024  # up to here copying a body costs less than writing it by itself
MAX_REQUESTS_A_TURN: Final = 16  # of one connection in one turn of the event loop
MAX_DROPPED_BYTES: Final = 2**20  # of a body that was answered before it was received
RESET: Final = struct.pack("ii", 1, 0)


class State(Enum):
    """What a connection waits for."""

    IDLE = auto()  # the client, to begin a request
    HEAD = auto()  # the client, to end the head that it began
    BODY = auto()  # the client, to end the body
    ANSWERING = auto()  # the application, to answer
    WRITING = auto()  # the client, to read the replies
    CLOSING = auto()  # the transport, to write what is left and close


IDLE, HEAD, BODY, ANSWERING, WRITING, CLOSING = State


class Request(Protocol):
    """A request that is being received or answered."""

    def begin(self) -> None: ...
    def receive(self, piece: bytes) -> None: ...
    def finish(self) -> None: ...
    def cancel(self) -> None: ...
    def fail(self, error: Exception) -> None: ...


class Connection(asyncio.Protocol):
    """A connection of one client. The constructor is the one that uvicorn calls."""

    transport: asyncio.Transport
    flow: FlowControl
    deadline: float
    request: Request | None = None
    answered = True  # the latest request is, or there was none
    keep_alive = True

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        context: AppContext,
    ) -> None:
        if not config.loaded:
            config.load()
        self.state = IDLE
        self.context = context
        self.config = config
        self.server_state = server_state
        self.app_state = app_state
        self.loop = _loop or asyncio.get_running_loop()
        self.requests = 0  # whose head was received
        self._settings = context.settings
        self._partial_head = b""
        self._behind = b""  # what was received behind the present request; part of the budget
        self._feeding = False
        self._unread = 0  # bytes of the budget for replies that the client has not read
        self._expects_continue = False
        self._body: Body
        self._rate: BodyRate

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.flow = FlowControl(transport)
        self.server = get_local_addr(transport)
        self.client = get_remote_addr(transport)
        self.scheme = "https" if is_ssl(transport) else "http"
        self.deadline = monotonic() + self._settings.head_seconds
        self.context.connection_deadlines.add(self)
        connections = self.server_state.connections
        connections.add(self)  # type: ignore[arg-type]  # as uvicorn's own protocols do
        if len(connections) > self._settings.max_connections and not make_room(connections, self):
            self._refuse(
                Unavailable("there are too many connections", expected="a pause before a retry")
            )

    def data_received(self, data: bytes) -> None:
        state = self.state
        if self._behind or state is ANSWERING or state is WRITING:
            self._keep_behind(data)
        elif state is HEAD:
            data, self._partial_head = self._partial_head + data, b""
            self._feed(data)
        elif state is not CLOSING:
            self._feed(data)

    def eof_received(self) -> bool:
        """The client sends no more. It may still read the reply, after which the connection closes.

        A client that closed the connection looks the same, until something is written to it: its
        system then resets the connection. So an interim reply (RFC 9110, 15.2) is written, and the
        model does not run when nobody waits.
        """
        self.keep_alive = False
        if self.state not in (ANSWERING, WRITING) or self.scheme != "http":
            return False
        if isinstance(self.request, Inference) and self.request.head.version == "1.1":
            self.transport.write(PROCESSING)
            self.loop.call_later(PROBE_SECONDS, self._check_client, PROBE_SECONDS)
        return True

    def _check_client(self, seconds: float) -> None:
        """Drop the connection if the client was gone when the interim reply came to it."""
        if self.state is ANSWERING:
            peer = self.transport.get_extra_info("socket")
            if peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._abort()
            else:
                self.loop.call_later(2 * seconds, self._check_client, 2 * seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.state = CLOSING
        self.server_state.connections.discard(self)
        self.context.connection_deadlines.discard(self)
        self.flow.resume_writing()
        self._release_unread()
        self._take_behind()
        self._cancel_request()

    def pause_writing(self) -> None:
        self.flow.pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self.context.budget.used += self._unread
        self._wait(self._settings.write_seconds)
        if self.state is IDLE:
            self.state = WRITING

    def resume_writing(self) -> None:
        self.flow.resume_writing()
        self._release_unread()
        if self.state is WRITING:
            self._become_idle()
        elif self.state is ANSWERING:
            self._wait(self.context.answer_seconds)
        elif self.state is BODY:
            self._wait(self._settings.body_seconds)

    # What uvicorn's server calls

    def shutdown(self) -> None:
        """Close now if nothing is under way, else with the next reply."""
        self.keep_alive = False
        if isinstance(self.request, AsgiRequest):
            self.request.close_after()
        if self.state is IDLE:
            self._close()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, so that the connection may be closed to make room."""
        return self.state is IDLE

    @property
    def awaits_first_request(self) -> bool:
        """Whether this connection is open and has sent no request yet."""
        return self.requests == 0 and self.state in (IDLE, HEAD)

    # Reading

    def _feed(self, data: bytes) -> None:
        """Take requests off ``data``, until one is owed its reply."""
        last = self.requests + MAX_REQUESTS_A_TURN
        self._feeding = True
        try:
            while data:
                if self.state is BODY:
                    data = self._take_body(data)
                elif self.state is not IDLE and self.state is not HEAD:
                    break
                elif self.requests < last:
                    data = self._take_head(data)
                else:  # others have their turn first
                    self.loop.call_soon(self._feed_behind)
                    break
        except ServiceError as error:
            self._refuse(error)
        finally:
            self._feeding = False
        if data and self.state is not CLOSING:
            self._keep_behind(data)

    def _take_head(self, data: bytes) -> bytes:
        """Begin a request if its head is complete. Returns the bytes behind what was taken."""
        if data[0] in b"\r\n":  # empty lines before a request are ignored (RFC 9112, 2.2)
            data = data.lstrip(b"\r\n")
            if not data:
                return b""
        end = data.find(EMPTY_LINE) + len(EMPTY_LINE)
        if end < len(EMPTY_LINE):
            self.context.parser.check_size(len(data))
            self._partial_head = data
            if self.state is IDLE:
                self.state = HEAD
                self._wait(self._settings.head_seconds)
            return b""
        return self._begin(self.context.parser.parse(data[:end]), data[end:])

    def _begin(self, head: Head, data: bytes) -> bytes:
        """A request has its head. Returns the bytes behind it, if its body is among ``data`` whole.

        Its reply may be sent before its body is received.
        """
        self.requests += 1
        self.state = BODY
        self.answered = False
        self.request = None
        self._expects_continue = head.expects_continue and (head.chunked or head.length > 0)
        # A client that is answered before it sent its body may never send it: then close.
        keep_alive = head.keep_alive and not self.context.shutdown.announced
        self.keep_alive = keep_alive and not self._expects_continue
        target = self._verb_of(head)
        if target is not None:
            self.request = Inference(self.context, head, target, self._send)
        else:
            self.request = AsgiRequest(self, head)
        self.request.begin()
        if not head.chunked and len(data) >= head.length:
            self.keep_alive = self.keep_alive or (keep_alive and not self.answered)
            if head.length and not self.answered:
                self.request.receive(data[: head.length])
            self._finish()
            return data[head.length :]
        self._body = ChunkedBody() if head.chunked else SizedBody(head.length)
        self._rate = BodyRate(
            self._settings.body_seconds, self._settings.min_body_rate, monotonic()
        )
        self.deadline = self._rate.deadline
        if self._expects_continue and not self.answered:
            self.keep_alive = keep_alive
            if target is not None:
                self.transport.write(CONTINUE)
        return data

    def _take_body(self, data: bytes) -> bytes:
        self._rate.add(len(data))
        content, rest = self._body.take(data)
        if self.answered:
            self._check_dropped()
        elif self.request is not None and content:
            self.request.receive(content)
        if self._body.complete and self.state is BODY:
            self._finish()
        return rest

    def _finish(self) -> None:
        """The body of the request is received."""
        if self.answered:
            self._end_exchange()
            return
        self.state = ANSWERING
        self._wait(self.context.answer_seconds)
        if self.request is not None:
            self.request.finish()

    def _verb_of(self, head: Head) -> Target | None:
        """The verb that a request asks for, if the connection answers it without ASGI."""
        settings = self._settings
        if head.method != b"POST" or settings.asgi_only:
            return None
        if settings.cors_origins and b"origin" in head.headers:  # starlette's CORSMiddleware
            return None
        return target_of(head.path)

    def _keep_behind(self, data: bytes) -> None:
        """Keep what was received behind the present request, and receive no more for now."""
        try:
            self.context.budget.reserve(len(data))
        except QueueFull:
            self._abort()
            return
        self._behind += data
        self.flow.pause_reading()

    def _take_behind(self) -> bytes:
        data, self._behind = self._behind, b""
        self.context.budget.release(len(data))
        return data

    def _feed_behind(self) -> None:
        """Go on with what was received behind the last request."""
        if self.state is IDLE:
            self._feed(self._take_behind())
        if self.state in (IDLE, HEAD, BODY) and not self._behind:
            self.flow.resume_reading()

    # Answering

    def _send(self, reply: Reply) -> None:
        """Write the reply that the present request is owed."""
        if self.context.shutdown.announced:
            self.keep_alive = False
        head = reply.head(self._common_lines())
        if len(reply.body) <= JOIN_BYTES:
            self.transport.write(head + reply.body)
        else:
            self.transport.writelines((head, reply.body))
        self.on_answered()

    def on_answered(self) -> None:
        """The present request has its reply."""
        self.answered = True
        self.server_state.total_requests += 1
        if self.state is ANSWERING:
            self._end_exchange()
        elif self._expects_continue and not self.keep_alive:
            self._close()

    def _end_exchange(self) -> None:
        """The present request is received and answered."""
        self.request = None
        if not self.keep_alive:
            self._close()
        elif self.flow.write_paused:
            self.state = WRITING
            self._wait(self._settings.write_seconds)
        else:
            self._become_idle()

    def _become_idle(self) -> None:
        self.state = IDLE
        if not self.keep_alive:
            self._close()
            return
        self._wait(self._settings.keep_alive_seconds)
        if self._behind:
            self.loop.call_soon(self._feed_behind)
        elif self.flow.read_paused:
            self.flow.resume_reading()

    def _refuse(self, error: Exception) -> None:
        """Answer what cannot become a request, or cannot be received, and close."""
        self.keep_alive = False
        if self.request is None:
            self.send_problem(error)
        elif not self.answered:
            self.request.fail(error)
        self._close()

    def send_problem(self, error: Exception) -> None:
        context = self.context
        reply, rejected = context.reject(error, "", "")
        request_id = context.request_ids.of({})
        lines = reply.lines + b"x-request-id: %b\r\n" % request_id
        self.transport.write(reply._replace(lines=lines).head(self._common_lines()) + reply.body)
        context.metrics.observe_request("unknown", "", reply.status, 0.0)
        context.observe(
            RequestRecord(
                "unknown", "", reply.status, 0.0, 0.0, 0.0, request_id.decode(), None, rejected
            )
        )

    def _common_lines(self) -> bytes:
        lines = self.context.common_lines.of(self.server_state.default_headers)
        return lines if self.keep_alive else lines + CLOSE_LINE

    def _check_dropped(self) -> None:
        """Close instead of receiving much of a body that nobody wants."""
        if self._rate.received > MAX_DROPPED_BYTES:
            self._close()

    # Deadlines

    def _wait(self, seconds: float) -> None:
        self.deadline = monotonic() + seconds

    def expire(self) -> None:
        """The deadline has passed."""
        if self.state is BODY and not self.flow.write_paused:
            self._check_rate()
        elif self.state is HEAD:
            self._refuse(
                ReceiptTimeout(
                    "the head of the request was not received in time",
                    expected=f"all of it in {self._settings.head_seconds:g} s",
                )
            )
        elif self.state is IDLE:
            self._close()
        else:
            self._abort()

    def _check_rate(self) -> None:
        now = monotonic()
        if self.flow.read_paused:  # the application does not receive: the client cannot send
            self._wait(self._settings.body_seconds)
            return
        try:
            self._rate.check(now)
        except ReceiptTimeout as error:
            self._refuse(error)
        else:
            self.deadline = self._rate.deadline

    # Closing

    def _close(self) -> None:
        """Close when what was written is sent."""
        if self.state is not CLOSING:
            self.state = CLOSING
            self._wait(self._settings.write_seconds)
            self.transport.close()

    def _abort(self) -> None:
        """Drop the connection with its replies: a mere abort leaves the kernel sending these."""
        self._cancel_request()
        self.state = CLOSING
        self._wait(self._settings.write_seconds)
        peer = self.transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    def _cancel_request(self) -> None:
        request, self.request = self.request, None
        if request is not None and not self.answered:
            self.answered = True
            request.cancel()

    def _release_unread(self) -> None:
        self.context.budget.release(self._unread)
        self._unread = 0


def make_room(connections: Iterable[Any], newcomer: object) -> bool:
    """Close the connections that have been idle for longest; False if none is idle.

    Several at once, so that a flood of connections costs little.
    """
    idle = [each for each in connections if each is not newcomer and each.is_idle]
    idle.sort(key=lambda connection: connection.deadline)
    for connection in idle[: 1 + len(idle) // 32]:
        connection.shutdown()
    return bool(idle)


class AsgiRequest:
    """A request to the ASGI application, by uvicorn's cycle of scope, receive and send."""

    def __init__(self, connection: Connection, head: Head) -> None:
        self._connection = connection
        self._cycle = RequestResponseCycle(
            scope=_scope(connection, head),
            transport=connection.transport,
            flow=connection.flow,
            logger=logger,
            access_logger=logger,
            access_log=False,
            default_headers=connection.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=head.expects_continue,
            keep_alive=connection.keep_alive,
            on_response=self._answered,
        )

    def begin(self) -> None:
        connection = self._connection
        task = connection.loop.create_task(self._cycle.run_asgi(connection.config.loaded_app))
        connection.server_state.tasks.add(task)
        task.add_done_callback(connection.server_state.tasks.discard)

    def receive(self, piece: bytes) -> None:
        self._cycle.body += piece
        if len(self._cycle.body) > JOIN_BYTES:
            self._connection.flow.pause_reading()
        self._cycle.message_event.set()

    def finish(self) -> None:
        self._cycle.more_body = False
        self._cycle.message_event.set()

    def cancel(self) -> None:
        self._cycle.disconnected = True
        self._cycle.message_event.set()

    def fail(self, error: Exception) -> None:
        """The body cannot be received. A reply that has begun cannot be replaced."""
        if not self._cycle.response_started:
            self._connection.send_problem(error)
        self.cancel()

    def close_after(self) -> None:
        """The reply is the last one of the connection."""
        self._cycle.keep_alive = False

    def _answered(self) -> None:
        connection = self._connection
        if not self._cycle.keep_alive:
            connection.keep_alive = False
        connection.on_answered()


def _scope(connection: Connection, head: Head) -> Any:
    """The ASGI scope of a request. Raises Malformed for an invalid target."""
    try:
        url = httptools.parse_url(head.url)
    except httptools.HttpParserError:
        raise Malformed("the target of the request is not a path") from None
    raw_path = url.path or b"/"
    root = connection.config.root_path
    return {
        "type": "http",
        "asgi": {"version": connection.config.asgi_version, "spec_version": "2.3"},
        "http_version": head.version,
        "server": connection.server,
        "client": connection.client,
        "scheme": connection.scheme,
        "method": head.method.decode("ascii"),
        "root_path": root,
        "path": root + unquote(raw_path.decode("ascii", "replace")),
        "raw_path": root.encode("ascii") + raw_path,
        "query_string": url.query or b"",
        "headers": head.raw,
        "state": connection.app_state.copy(),
    }
