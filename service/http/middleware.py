"""What surrounds every request that FastAPI answers, but for the verbs. Pure ASGI.

A POST to a verb passes untouched: ``service/http/inference.py`` decides all of these things for it.
"""

import re
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Malformed, ServiceError
from service.http.context import AppContext
from service.http.head import Head
from service.http.limits import too_large
from service.http.reply import CLIENT_CLOSED_REQUEST, Reply
from service.http.target import target_of
from service.telemetry.record import RequestRecord

RECORD: Final = "vae.record"  # where RecordRequests leaves the RecordedRequest in the scope
OPEN_PATHS: Final = ("/health/live", "/health/ready", "/", "/docs")
CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")
ADMIN_PATH: Final = re.compile(r"/models/[^/]*/versions/[^/]*/(load|unload)")


def is_open(path: str) -> bool:
    """Whether a path needs no key: health, and the pages that ask for the key."""
    return path in OPEN_PATHS or path.startswith("/static/")


def is_inference(scope: Scope) -> bool:
    """Whether a request is a POST to a verb, which decides all for itself."""
    return bool(scope["method"] == "POST" and target_of(scope["path"].encode()) is not None)


class RecordRequests:
    """The outermost layer: gives requests their ids, counts and logs them. Treats HEAD as GET."""

    def __init__(self, app: ASGIApp, context: AppContext) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_inference(scope):
            return await self._app(scope, receive, send)
        # Servers send no body in reply to HEAD, by the scope that they made themselves.
        scope = {**scope, "method": "GET"} if scope["method"] == "HEAD" else dict(scope)
        request = scope[RECORD] = RecordedRequest(scope, receive, send, self._context)
        try:
            await self._app(scope, request.receive, request.send)
        finally:
            request.end()


class Authenticate:
    """Checks the key and the length of the body, and answers every error that is raised inside.

    Not an exception handler: Starlette raises what is no HTTPException again, uvicorn would then
    cut the connection, and the reply would lack its request id. Admin routes check their key again
    where they are defined, whatever this pattern matches.
    """

    def __init__(self, app: ASGIApp, context: AppContext) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_inference(scope):
            return await self._app(scope, receive, send)
        request: RecordedRequest = scope[RECORD]
        try:
            self._check(scope["path"], request)
            await self._app(scope, receive, send)
        except Exception as error:
            if request.status:  # the reply has begun
                raise
            await request.reject(error).response()(scope, receive, send)

    def _check(self, path: str, request: "RecordedRequest") -> None:
        context = self._context
        if CONTROL_CHARACTER.search(path):
            raise Malformed("the path holds a control character", given=repr(path))
        if context.admin_keys and ADMIN_PATH.fullmatch(path):
            context.admin_keys.check(request.headers)
        elif not is_open(path):
            context.api_keys.check(request.headers)
        length = Head.of_scope(request.scope).length
        if length > context.settings.max_body_bytes:
            raise too_large(length, context.settings.max_body_bytes)


class RecordedRequest:
    """One request: counts the bytes that come in, adds headers to the reply, and is recorded."""

    status = 0
    _received = 0
    _error: ServiceError | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send, context: AppContext) -> None:
        self.scope = scope
        self.headers = dict(reversed(list(scope["headers"])))
        self._receive, self._send = receive, send
        self._context = context
        self._request_id = context.request_ids.of(self.headers)
        self._started = time.monotonic()
        context.metrics.in_flight += 1

    async def receive(self) -> Message:
        """The next message. Raises TooLarge for a body that grows over the limit."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        limit = self._context.settings.max_body_bytes
        if self._received > limit:
            raise too_large(self._received, limit)
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on, with the id of the request among the headers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self._request_id)]
        await self._send(message)

    def reject(self, error: Exception) -> Reply:
        """The reply to an error, which is counted and logged."""
        scope = self.scope
        reply, self._error = self._context.reject(error, scope["method"], scope["path"])
        return reply

    def end(self) -> None:
        """Count the request, and pass it on to the observers."""
        context = self._context
        context.metrics.in_flight -= 1
        op, status = self._op(), self.status or CLIENT_CLOSED_REQUEST
        seconds = time.monotonic() - self._started
        context.metrics.observe_request(op, "", status, seconds)
        context.observe(
            RequestRecord(
                op=op,
                label="",
                status=status,
                seconds=seconds,
                queue_seconds=0.0,
                compute_seconds=0.0,
                request_id=self._request_id.decode(),
                traceparent=self.headers.get(b"traceparent"),
                error=self._error,
            )
        )

    def _op(self) -> str:
        if self.scope["method"] == "OPTIONS" and b"access-control-request-method" in self.headers:
            return "preflight"  # of a page of another origin, and of no route
        return getattr(self.scope.get("route"), "name", "unknown")
