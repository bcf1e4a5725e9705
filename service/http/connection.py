"""The HTTP connection: uvicorn's, with a fast lane for the verbs, and no upgrades.

A POST to a verb whose body has a length is answered here, from the parser's callbacks, without
scope, task and ASGI messages; all else goes uvicorn's way, to FastAPI. Both lanes ask the same
AppContext and answer byte for byte the same; ``tests/service/http/test_lanes.py`` holds that. A
client gets so much time for each of its moves, and no more; ``receipt.py`` says how much.
"""

import asyncio
import socket
import struct
import time
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import HeadTooLarge, Malformed, ServiceError, Unavailable
from service.http.context import AppContext
from service.http.fast_lane import CLOSE_LINE, FastCycle
from service.http.guard import Head, head_of
from service.http.limits import RequestLimits
from service.http.neighbours import NOBODY, Neighbours
from service.http.target import target_of
from service.http.upgrade import without_upgrade

LINGER_NOT: Final = struct.pack("ii", 1, 0)


class Connection(HttpToolsProtocol):
    """uvicorn's protocol class, of which it makes one for each connection."""

    cycle: Any  # uvicorn's RequestResponseCycle, or a FastCycle in its place
    deadline: float

    def __init__(
        self, *args: Any, context: AppContext, neighbours: Neighbours = NOBODY, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.context = context
        self.neighbours = neighbours
        self.settled = False  # it stays with this process
        self.answering: Any = None  # the cycle whose turn it is, where ``cycle`` is the latest read
        self.held = False  # nothing is begun until the client has read more of its replies
        self.declines = False  # the upgrade that the request being read asks for
        self.refused = False  # what comes is not read any more
        self.ended = 0  # requests that were parsed to their end
        self.receipt: RequestLimits | None = (
            None  # of the request that has begun to come and not ended
        )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.neighbours.count(len(self.connections))
        if self._is_passed_on():
            transport.abort()
            return
        self._await_client(self.context.settings.head_seconds)
        if len(self.connections) > self.context.settings.max_connections:
            self._make_room()

    def _is_passed_on(self) -> bool:
        """Whether another process has this connection now; of TLS this one alone has the keys."""
        if self.settled or self.scheme == "https":
            return False
        return self.neighbours.offer(self.transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Parse what came. A connection that owes nothing has a deadline afterwards, always."""
        deadline = self.deadline if self in self.context.waits else None
        if not self.flow.write_paused:
            self.context.waits.discard(self)
        requests = self.ended
        self._parse(data)
        if self.receipt is None and not self._owes_reply() and self not in self.context.waits:
            if deadline is None or self.ended > requests:
                self._await_client(self.timeout_keep_alive)
            else:  # an empty line, for one, which buys no time
                self.deadline = deadline
                self.context.waits.add(self)

    def _parse(self, data: bytes) -> None:
        ended = self.ended
        try:
            self.parser.feed_data(data)
            if self.receipt is not None and self.receipt.in_head and self.ended == ended:
                self.receipt.add(len(data))  # all of it is head
        except httptools.HttpParserUpgrade as upgrade:
            if self.declines:
                self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        except HeadTooLarge as error:
            self._refuse(error)
        if self.receipt is not None and not self.flow.write_paused:
            self._await_rest(self.receipt)

    def on_message_begin(self) -> None:
        self.receipt = RequestLimits(self.context.settings, time.monotonic())
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        method = self.parser.get_method()
        self.declines = self.parser.should_upgrade() and method != b"CONNECT"
        if self.declines or not self._accepts_head():
            return
        path, _, query = self.url.partition(b"?")
        fast = self.context.settings.fast_lane and method == b"POST"
        target = target_of(path) if fast else None
        head = head_of(self.headers)
        if target is None or b"content-length" not in head or self._needs_asgi(head):
            self._take_slow_lane()
            return
        waits = self.held or self._owes_reply()
        keep_alive = self.parser.should_keep_alive()
        self.cycle = FastCycle(self, target, head, query, keep_alive=keep_alive)
        if waits:  # for the replies to what was asked before on this connection
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def _accepts_head(self) -> bool:
        assert self.receipt is not None  # noqa: S101 (it has begun)
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        try:
            self.receipt.end_head(size, len(self.headers), time.monotonic())
        except HeadTooLarge as error:
            self._refuse(error)
        return not self.refused

    def on_body(self, body: bytes) -> None:
        if self.refused or self.declines or self.receipt is None:
            return
        self.receipt.add(len(body))
        if self.cycle.response_complete and self.receipt.unwanted:
            self.transport.close()
        if isinstance(self.cycle, FastCycle):
            self.cycle.receive(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.receipt = None
        self.ended += 1
        if self.declines or self.refused:
            return
        if isinstance(self.cycle, FastCycle):
            self.cycle.receive_end()
        else:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.context.waits.discard(self)
        super().connection_lost(exc)
        self.neighbours.count(len(self.connections))
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

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_client(self.context.settings.write_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.context.waits.discard(self)
        if self.receipt is not None:
            self._await_rest(self.receipt)
        if self.held:
            self.held = False
            self._go_on()

    @property
    def is_expected_to_ask(self) -> bool:
        """Whether this connection was opened and its first request is still to come."""
        return self.cycle is None and not self.transport.is_closing()

    def shutdown(self) -> None:
        """Close when what was asked is answered; what is being asked is closed by its turn."""
        if self._owes_reply():
            self._close_after(self.cycle)
        elif self.receipt is None:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Malformed(msg))

    def _refuse(self, error: ServiceError) -> None:
        """Answer what cannot become a request, and close. Said in place of a reply that is still to
        come it would be taken for that; then the connection only closes, after the last reply where
        there can be one."""
        self.refused = True
        self.receipt = None
        if not self._owes_reply():
            if self.cycle is None or not self.cycle.more_body:  # else its reply is out already
                self._say(error)
            self.transport.close()
        elif self.cycle.more_body and not self.pipeline and isinstance(self.cycle, FastCycle):
            self.cycle.keep_alive = False
            self.cycle.fail(error)
        elif self.cycle.more_body:
            if not self.pipeline and not self.cycle.response_started:
                self._say(error)
            self.transport.close()
        else:
            self.flow.pause_reading()
            self.cycle.keep_alive = False

    def _say(self, error: ServiceError) -> None:
        context = self.context
        reply, refused = context.refuse(error, "", "")
        request_id = context.request_ids.of({})
        common = self.server_state.default_headers
        head = context.head_of_reply(reply, common, request_id, CLOSE_LINE)
        self.transport.write(head + reply.body)
        context.part("unknown", "", reply.status, 0.0, request_id, {}, None, refused)

    def _make_room(self) -> None:
        """One connection more than there may be: close that which has been idle longest."""
        for other in self.context.waits:
            if isinstance(other, Connection) and other is not self and other.is_idle:
                other.expire()
                return
        self._refuse(Unavailable("too many connections", expected="a pause before the next try"))

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way here in either direction."""
        return self.receipt is None and not self._owes_reply() and not self.flow.write_paused

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read the request again without its wish: the parser skips the body of such a request."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        head = without_upgrade(method, self.url, version, self.headers)
        self.declines = False
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    def _close_after(self, cycle: Any) -> None:
        """Have a reply say that it is the last of its connection."""
        cycle.keep_alive = False
        if not isinstance(cycle, FastCycle):
            cycle.default_headers = [*cycle.default_headers, (b"connection", b"close")]

    def _owes_reply(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _go_on(self) -> None:
        """As uvicorn has it, but for the idle time, which one timer keeps for all connections."""
        if self.pipeline:
            # Not from here: the stack would grow with every request that is answered at once.
            self.loop.call_soon(self._start_next)
        else:
            self.flow.resume_reading()
            if self.receipt is None:
                self._await_client(self.timeout_keep_alive)

    def _start_next(self) -> None:
        if self.transport.is_closing():
            return
        cycle, app = self.pipeline.pop()
        if not self.pipeline:  # the rest of its body may be still to come
            self.flow.resume_reading()
        self._start_asgi_task(cycle, app)

    def _unset_keepalive_if_required(self) -> None:
        self.context.waits.discard(self)

    def _await_client(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.context.waits.add(self)

    def _await_rest(self, receipt: RequestLimits) -> None:
        self.deadline = receipt.deadline
        self.context.waits.add(self)

    def expire(self) -> None:
        """The client's time for its next move is over."""
        self.context.waits.discard(self)
        if self.flow.write_paused or self.transport.is_closing():
            self._cut()
        elif self.receipt is None:
            self.timeout_keep_alive_handler()
        elif self.flow.read_paused:  # it is not to blame
            self._await_client(self.context.settings.body_seconds)
        elif self.receipt.deadline > time.monotonic():  # it went on in the meantime
            self._await_rest(self.receipt)
        else:
            self._refuse(self.receipt.timeout())

    def _cut(self) -> None:
        """Drop the connection with its replies; a mere abort leaves the kernel offering these."""
        peer = self.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.transport.abort()

    def _needs_asgi(self, head: Head) -> bool:
        return (
            self.expect_100_continue
            or b"transfer-encoding" in head
            or (self.context.cross_origin and b"origin" in head)
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
        if self.context.shutdown.announced and not self.pipeline:
            self._close_after(cycle)
        if isinstance(cycle, FastCycle):
            cycle.start()
        else:
            super()._start_asgi_task(cycle, app)
