"""The native verbs over HTTP, in the slow lane: FastAPI's."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from service.batching.call import Call
from service.batching.work import Work
from service.http.endpoint import CLIENT_CLOSED_REQUEST, Endpoint, Reply
from service.http.guard import head_of
from service.http.middleware import MODEL_LABEL, WORK, to_response
from service.http.target import Target
from service.models.verbs import VERBS, Verb
from service.routes.openapi import operation

PATHS: Final = (  # and what they add to a verb's name in the names of operations
    ("/{verb}", ""),
    ("/models/{{model}}/{verb}", "_model"),
    ("/models/{{model}}/versions/{{version}}/{verb}", "_model_version"),
)


def create_router(endpoint: Endpoint) -> APIRouter:
    """Each verb at /verb, /models/{model}/verb and /models/{model}/versions/{version}/verb."""
    router = APIRouter(tags=["vae"])
    for verb in VERBS:
        for path, suffix in PATHS:
            _add_route(router, verb, endpoint, path.format(verb=verb.name), suffix)
    return router


def _add_route(router: APIRouter, verb: Verb, endpoint: Endpoint, path: str, suffix: str) -> None:
    async def answer(request: Request) -> Response:
        params = request.path_params
        target = Target.of(verb, params.get("model"), params.get("version"))
        return await _answer(endpoint, request, target)

    router.add_api_route(
        path,
        answer,
        methods=["POST"],
        name=verb.name,
        operation_id=verb.name + suffix,
        summary=verb.summary,
        response_class=Response,
        openapi_extra=operation(verb, path),
        route_class_override=VerbRoute,
    )


class VerbRoute(APIRoute):
    """Hands a request to its function as it came.

    There is nothing to inject, and FastAPI's way of finding so costs more than the verb's own work.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await super().handle(scope, receive, send)  # which refuses it
            return
        response = await self.endpoint(Request(scope, receive))
        await response(scope, receive, send)


async def _answer(endpoint: Endpoint, request: Request, target: Target) -> Response:
    received_at = time.monotonic()
    model = endpoint.find(target)
    request.scope[MODEL_LABEL] = model.label
    admission = endpoint.admit(target.verb, head_of(request.scope["headers"]))
    try:
        body = await request.body()
    except ClientDisconnect:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    work = endpoint.answer(target.verb, model, admission, request.scope["query_string"], body)
    errand = request.scope[WORK] = Errand(work, received_at + admission.timeout)
    reply = await errand.outcome(request.receive)
    if reply is None:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return to_response(reply)


class Errand(Work[Reply]):
    """A request's work, for the task of asyncio's that every request has in this lane."""

    def __init__(self, coroutine: Coroutine[Call, None, Reply], deadline: float) -> None:
        self.deadline = deadline
        self._outcome: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self.begin(coroutine)

    def succeed(self, result: Reply) -> None:
        self._outcome.set_result(result)

    def fail(self, error: Exception) -> None:
        self.abandon()
        if not self._outcome.done():
            self._outcome.set_exception(error)

    async def outcome(self, receive: Receive) -> Reply | None:
        """The reply; None when the client hangs up first.

        Raises what the work does, and DeadlineExceeded when the time is over.
        """
        if self._outcome.done():
            return self._outcome.result()
        watcher = asyncio.ensure_future(_disconnected(receive))
        watcher.add_done_callback(lambda _: self._hang_up())
        timer = asyncio.get_running_loop().call_later(self.deadline - time.monotonic(), self.expire)
        try:
            return await self._outcome
        finally:
            timer.cancel()
            watcher.cancel()
            self.abandon()

    def _hang_up(self) -> None:
        if not self._outcome.done():
            self._outcome.set_result(None)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
