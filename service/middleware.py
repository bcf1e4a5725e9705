"""What surrounds every request: id, metrics, API key, size of the body. Pure ASGI."""

import logging
import re
import time
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from secrets import token_hex
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import (
    MEDIA_TYPE,
    InternalError,
    Malformed,
    ServiceError,
    TooLarge,
    Unauthorized,
)
from service.metrics import Metrics

logger = logging.getLogger(__name__)

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
MODEL_LABEL: Final = "vae.model"  # the routes put the name/version that answers into the scope here
OPEN_PATHS: Final = ("/health/live", "/health/ready")


def problem_response(error: ServiceError) -> Response:
    """The reply that an error stands for."""
    return Response(
        error.problem(), error.status, headers=dict(error.headers), media_type=MEDIA_TYPE
    )


class ReplyHeaders:
    """Gives every reply the X-Request-Id of its request, or a new one, and its X-Model."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        # A client's id goes into headers and logs, so only a harmless one is taken over.
        request_id = given if REQUEST_ID.fullmatch(given) else token_hex(8)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                if MODEL_LABEL in scope:
                    headers["X-Model"] = scope[MODEL_LABEL]
            await send(message)

        return await self._app(scope, receive, send_with_headers)


class RequestMetrics:
    """Counts and times every request by its route and the model that answered."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = time.monotonic()
        code = 500

        async def send_and_note(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            return await self._app(scope, receive, send_and_note)
        finally:
            name, _, version = scope.get(MODEL_LABEL, "").partition("/")
            route = getattr(scope.get("route"), "name", "unknown")
            elapsed = time.monotonic() - started
            self._metrics.observe_request(route, name, version, code, elapsed)


class Failures:
    """Answers an exception that nobody caught, a bug of ours, with a 500 that shows nothing of it.

    Here and not in an exception handler, since Starlette raises those again: uvicorn would then cut
    the connection, and the reply would lack its request id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            logger.exception("%s %s failed", scope["method"], scope["path"])
            error = InternalError("the server failed on this request")
            await problem_response(error)(scope, receive, send)


class ApiKey:
    """Asks every route but health for a key, before the body is read."""

    def __init__(self, app: ASGIApp, keys: Iterable[str]) -> None:
        self._app = app
        self._digests = [sha256(key.encode()).digest() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["path"] in OPEN_PATHS
            or self._is_known(_presented_key(Headers(scope=scope)))
        ):
            return await self._app(scope, receive, send)
        error = Unauthorized(
            "the API key is missing or unknown",
            expected="X-API-Key: <key> or Authorization: Bearer <key>",
        )
        return await problem_response(error)(scope, receive, send)

    def _is_known(self, key: str) -> bool:
        # Digests have one length and every one is compared, so that time tells nothing of a key.
        digest = sha256(key.encode("latin-1")).digest()
        return sum(compare_digest(digest, known) for known in self._digests) > 0


def _presented_key(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key") or (token if scheme.lower() == "bearer" else "")


class BodyLimit:
    """Refuses a body over ``max_bytes``: by its Content-Length at once, else while it comes."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal():
            error: ServiceError = Malformed("Content-Length is not a number", given=declared)
            return await problem_response(error)(scope, receive, send)
        if len(declared) > 18 or int(declared) > self._max_bytes:
            return await problem_response(self._too_large(declared))(scope, receive, send)
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._too_large(received)
            return message

        return await self._app(scope, receive_counted, send)

    def _too_large(self, given: int | str) -> TooLarge:
        return TooLarge(
            "the body is too large", expected=f"at most {self._max_bytes} bytes", given=given
        )
