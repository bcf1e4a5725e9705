"""What surrounds every request of the slow lane: headers, metrics, key, body limit. Pure ASGI.

The decisions stand in ``service/guard.py``, which the fast lane asks, too.
"""

import re
import time
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.endpoint import Reply, problem, service_error
from service.guard import ApiKeys, RequestIds, check_length, head_of, too_large
from service.metrics import Metrics

MODEL_LABEL: Final = "vae.model"  # routes put the name/version that answers into the scope here
OPEN_PATHS: Final = ("/health/live", "/health/ready", "/", "/docs")
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


class ReplyHeaders:
    """Gives every reply the X-Request-Id of its request, or a new one, and its X-Model."""

    def __init__(self, app: ASGIApp, request_ids: RequestIds) -> None:
        self._app = app
        self._request_ids = request_ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = self._request_ids.of(head_of(scope["headers"]))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers["X-Request-Id"] = request_id.decode()
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
            route = getattr(scope.get("route"), "name", "unknown")
            elapsed = time.monotonic() - started
            self._metrics.observe_request(route, scope.get(MODEL_LABEL, ""), code, elapsed)


class Failures:
    """Answers what was raised: a ServiceError with its reply, anything else with a 500.

    Here and not in an exception handler, since Starlette raises what is no HTTPException again:
    uvicorn would then cut the connection, and the reply would lack its request id.
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
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            failed = service_error(error, scope["method"], scope["path"])
            await to_response(problem(failed))(scope, receive, send)


class Doorkeeper:
    """Refuses a request without a key, or with a body over the limit, declared or as it comes.

    What loads and unloads models is opened by ``admin_keys``, where there are any, and no other.
    """

    def __init__(self, app: ASGIApp, keys: ApiKeys, admin_keys: ApiKeys, max_bytes: int) -> None:
        self._app = app
        self._keys = keys
        self._admin_keys = admin_keys
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        head = head_of(scope["headers"])
        if self._admin_keys and ADMIN_PATH.fullmatch(scope["path"]):
            self._admin_keys.check(head)
        elif not is_open(scope["path"]):
            self._keys.check(head)
        check_length(head, self._max_bytes)
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise too_large(received, self._max_bytes)
            return message

        return await self._app(scope, receive_counted, send)
