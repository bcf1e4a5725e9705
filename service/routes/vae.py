"""The native verbs over HTTP, in the slow lane: FastAPI's."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from service.endpoint import CLIENT_CLOSED_REQUEST, Endpoint, Target
from service.errors import DeadlineExceeded
from service.guard import head_of
from service.middleware import MODEL_LABEL, to_response
from service.routes.openapi import operation
from service.verbs import VERBS, Verb

T = TypeVar("T")
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
    model = endpoint.find(target)
    request.scope[MODEL_LABEL] = model.label
    admission = endpoint.admit(target.verb, model, head_of(request.scope["headers"]))
    try:
        body = await request.body()
    except ClientDisconnect:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    work = endpoint.answer(admission, request.scope["query_string"], body)
    reply = await _while_wanted(work, request.receive, admission.deadline)
    if reply is None:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return to_response(reply)


async def _while_wanted(work: Awaitable[T], receive: Receive, deadline: float) -> T | None:
    """The result of ``work``; None when the client hangs up first, which cancels the work.

    Raises DeadlineExceeded when the time is over. A cancelled call leaves the queue and never runs.
    """
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait(
            (task, watcher),
            timeout=deadline - time.monotonic(),
            return_when=asyncio.FIRST_COMPLETED,
        )
        if task.done():
            return task.result()
        if watcher.done():
            return None
        raise DeadlineExceeded("the time for this request is over")
    finally:
        task.cancel()
        watcher.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
