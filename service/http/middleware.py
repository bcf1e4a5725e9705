"""What surrounds every request of the slow lane: key, limits, failures, headers, counts. Pure ASGI.

The decisions stand in ``service/http/guard.py``, which the fast lane asks, too.
"""

import re
import time
from collections.abc import Iterator
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Malformed, ServiceError
from service.http.context import AppContext
from service.http.endpoint import CLIENT_CLOSED_REQUEST, Reply
from service.http.guard import ApiKeys, Head, check_length, head_of, too_large

MODEL_LABEL: Final = "vae.model"  # routes put the name/version that answers into the scope here
WORK: Final = "vae.work"  # and the Work that is done for the request here
PASSAGE: Final = "vae.passage"  # the Register's, for the FrontDoor
OPEN_PATHS: Final = ("/health/live", "/health/ready", "/", "/docs")
CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")
ADMIN_PATH: Final = re.compile(r"/models/[^/]*/versions/[^/]*/(load|unload)")


def to_response(reply: Reply) -> Response:
    """The reply as starlette has it, with exactly these headers."""
    response = Response(status_code=reply.status)
    response.body = reply.body
    response.raw_headers = [
        *reply.headers,
        (b"content-length", b"%d" % len(reply.body)),
        (b"content-type", reply.media_type),
    ]
    return response


def is_open(path: str) -> bool:
    """Whether a path answers without a key: health, and the pages that ask for the key."""
    return path in OPEN_PATHS or path.startswith("/static/")


class Register:
    """The outermost layer: gives every request its id, counts it, and has it told of."""

    def __init__(self, app: ASGIApp, context: AppContext) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        passage = scope[PASSAGE] = Passage(scope, receive, send, self._context)
        try:
            await self._app(scope, passage.receive, passage.send)
        finally:
            passage.end()


class FrontDoor:
    """Who may come in, and with how much. Answers what is raised behind it, too.

    A ServiceError with its reply, anything else with a 500. Not in an exception handler, since
    Starlette raises what is no HTTPException again: uvicorn would then cut the connection, and the
    reply would lack its request id. What loads and unloads models is opened by ``admin_keys``,
    where there are any, and no other.
    """

    def __init__(self, app: ASGIApp, context: AppContext, admin_keys: ApiKeys) -> None:
        self._app = app
        self._context = context
        self._admin_keys = admin_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        passage: Passage = scope[PASSAGE]
        try:
            self._let_in(scope["path"], passage.head)
            await self._app(scope, receive, send)
        except Exception as error:
            if passage.status:  # the reply has begun
                raise
            await to_response(passage.refuse(error))(scope, receive, send)

    def _let_in(self, path: str, head: Head) -> None:
        if CONTROL_CHARACTER.search(path):
            raise Malformed("the path holds a control character", given=repr(path))
        if self._admin_keys and ADMIN_PATH.fullmatch(path):
            self._admin_keys.check(head)
        elif not is_open(path):
            self._context.keys.check(head)
        check_length(head, self._context.settings.max_body_bytes)


class Passage:
    """One request on its way through: counts what comes in, adds headers to what goes out."""

    status = 0
    _received = 0
    _error: ServiceError | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send, context: AppContext) -> None:
        self.head = head_of(scope["headers"])
        self._scope, self._receive, self._send = scope, receive, send
        self._context = context
        self._request_id = context.request_ids.of(self.head)
        self._started = time.monotonic()
        context.metrics.in_flight += 1

    async def receive(self) -> Message:
        """The next message. Raises TooLarge for a body that grows over the limit as it comes."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        limit = self._context.settings.max_body_bytes
        if self._received > limit:
            raise too_large(self._received, limit)
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on, with the headers that every reply has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self._headers()]
        await self._send(message)

    def refuse(self, error: Exception) -> Reply:
        """The reply to an error, which is told of."""
        scope = self._scope
        reply, self._error = self._context.refuse(error, scope["method"], scope["path"])
        return reply

    def end(self) -> None:
        """Count the request, and tell of it."""
        context, scope = self._context, self._scope
        context.metrics.in_flight -= 1
        label, status = scope.get(MODEL_LABEL, ""), self.status or CLIENT_CLOSED_REQUEST
        seconds = time.monotonic() - self._started
        work = scope.get(WORK)
        context.part(
            self._op(), label, status, seconds, self._request_id, self.head, work, self._error
        )

    def _op(self) -> str:
        if self._scope["method"] == "OPTIONS" and b"access-control-request-method" in self.head:
            return "preflight"  # of a page of another origin, and of no route
        return getattr(self._scope.get("route"), "name", "unknown")

    def _headers(self) -> Iterator[tuple[bytes, bytes]]:
        yield b"x-request-id", self._request_id
        if MODEL_LABEL in self._scope:
            yield b"x-model", self._scope[MODEL_LABEL].encode()
        work = self._scope.get(WORK)
        if work is not None and work.waited and self._context.settings.server_timing:
            timing = self._context.timing_of(work.queue_seconds, work.compute_seconds)
            yield b"server-timing", timing
