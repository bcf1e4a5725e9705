"""The native verbs over HTTP, in the slow lane: FastAPI's."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from service.batcher import Call
from service.endpoint import CLIENT_CLOSED_REQUEST, Endpoint, Reply, Target
from service.guard import head_of
from service.middleware import MODEL_LABEL, WORK, to_response
from service.routes.openapi import operation
from service.verbs import VERBS, Verb
from service.work import Work

ModelPath = Annotated[str, Path(description="a name from /models")]
VersionPath = Annotated[int, Path(ge=1, description="a version from /models/{model}")]


def create_router(endpoint: Endpoint) -> APIRouter:
    """Each verb at /verb, /models/{model}/verb and /models/{model}/versions/{version}/verb."""
    router = APIRouter(tags=["vae"])
    for verb in VERBS:
        _add_routes(router, verb, endpoint)
    return router


def _add_routes(router: APIRouter, verb: Verb, endpoint: Endpoint) -> None:
    async def default(request: Request) -> Response:
        return await _answer(endpoint, request, Target(verb))

    async def of_model(request: Request, model: ModelPath) -> Response:
        return await _answer(endpoint, request, Target(verb, model))

    async def of_version(request: Request, model: ModelPath, version: VersionPath) -> Response:
        return await _answer(endpoint, request, Target(verb, model, version))

    for path, function, suffix in (
        (f"/{verb.name}", default, ""),
        (f"/models/{{model}}/{verb.name}", of_model, "_model"),
        (f"/models/{{model}}/versions/{{version}}/{verb.name}", of_version, "_model_version"),
    ):
        router.add_api_route(
            path,
            function,
            methods=["POST"],
            name=verb.name,
            operation_id=verb.name + suffix,
            summary=verb.summary,
            response_class=Response,
            openapi_extra=operation(verb),
        )


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
    errand = request.scope[WORK] = Errand(work)
    reply = await errand.outcome(request.receive, received_at + admission.timeout)
    if reply is None:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return to_response(reply)


class Errand(Work[Reply]):
    """A request's work, for the task of asyncio's that every request has in this lane."""

    def __init__(self, coroutine: Coroutine[Call, None, Reply]) -> None:
        self._outcome: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self.begin(coroutine)

    def succeed(self, result: Reply) -> None:
        self._outcome.set_result(result)

    def fail(self, error: Exception) -> None:
        self.abandon()
        if not self._outcome.done():
            self._outcome.set_exception(error)

    async def outcome(self, receive: Receive, deadline: float) -> Reply | None:
        """The reply; None when the client hangs up first.

        Raises what the work does, and DeadlineExceeded when the time is over.
        """
        if self._outcome.done():
            return self._outcome.result()
        watcher = asyncio.ensure_future(_disconnected(receive))
        watcher.add_done_callback(lambda _: self._hang_up())
        timer = asyncio.get_running_loop().call_later(deadline - time.monotonic(), self.expire)
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
