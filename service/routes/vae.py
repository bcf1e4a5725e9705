"""The native verbs over HTTP. The path of a request, top to bottom."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Path, Request, Response
from starlette.types import Receive

from service.errors import DeadlineExceeded, InvalidInput, Malformed, UnsupportedFormat
from service.middleware import MODEL_LABEL
from service.repository import Repository
from service.routes.openapi import operation
from service.settings import Settings
from service.verbs import VERBS, Verb
from service.wire.formats import acceptable, format_of
from service.wire.request import read, row_spec

T = TypeVar("T")
CLIENT_CLOSED_REQUEST: Final = 499
ModelPath = Annotated[str, Path(description="a name from /models")]
VersionPath = Annotated[int, Path(ge=1, description="a version from /models/{model}")]


def create_router(models: Repository, settings: Settings) -> APIRouter:
    """Each verb at /verb, /models/{model}/verb and /models/{model}/versions/{version}/verb."""
    router = APIRouter(tags=["vae"])
    for verb in VERBS:
        _add_routes(router, verb, models, settings)
    return router


def _add_routes(router: APIRouter, verb: Verb, models: Repository, settings: Settings) -> None:
    async def default(request: Request) -> Response:
        return await _answer(verb, request, models, settings)

    async def of_model(request: Request, model: ModelPath) -> Response:
        return await _answer(verb, request, models, settings, model)

    async def of_version(request: Request, model: ModelPath, version: VersionPath) -> Response:
        return await _answer(verb, request, models, settings, model, version)

    for path, endpoint, suffix in (
        (f"/{verb.name}", default, ""),
        (f"/models/{{model}}/{verb.name}", of_model, "_model"),
        (f"/models/{{model}}/versions/{{version}}/{verb.name}", of_version, "_model_version"),
    ):
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            name=verb.name,
            operation_id=verb.name + suffix,
            summary=verb.summary,
            response_class=Response,
            openapi_extra=operation(verb),
        )


async def _answer(
    verb: Verb,
    request: Request,
    models: Repository,
    settings: Settings,
    name: str | None = None,
    version: int | None = None,
) -> Response:
    deadline = time.monotonic() + _timeout(request, settings)
    model = models.get(name, version)
    request.scope[MODEL_LABEL] = model.label
    _refuse_encodings(request)
    reads = format_of(request.headers.get("content-type"))
    writes = acceptable(request.headers.get("accept"), picture="outputs" in verb.outputs)
    spec = row_spec(
        verb,
        model.manifest,
        max_rows=settings.max_request_rows,
        max_pixels=settings.max_image_pixels,
    )
    rows, options = read(verb, spec, reads, await request.body(), _query(request))
    arrays = await _while_wanted(verb.call(model, rows, options), request.receive, deadline)
    if arrays is None:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return Response(writes.write(arrays, model.manifest.input), media_type=writes.media_type)


def _timeout(request: Request, settings: Settings) -> float:
    """Seconds for this request: X-Timeout-Ms, but no more than the setting."""
    given = request.headers.get("x-timeout-ms")
    if given is None:
        return settings.timeout_ms / 1000
    if not (given.isascii() and given.isdecimal() and len(given) <= 12 and int(given) > 0):
        raise Malformed("X-Timeout-Ms is not a positive whole number", given=given)
    return min(int(given), settings.timeout_ms) / 1000


def _query(request: Request) -> dict[str, str]:
    pairs = request.query_params.multi_items()
    query = dict(pairs)
    if len(query) < len(pairs):
        raise InvalidInput("the query string names an option twice", given=request.url.query)
    return query


def _refuse_encodings(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedFormat(
            "compressed bodies are not read here", expected="identity", given=encoding
        )


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
        raise DeadlineExceeded("the time for this request is over; nothing was computed for it")
    finally:
        task.cancel()
        watcher.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
