"""The native verbs as FastAPI routes: the entry of a request on any ASGI server."""

import asyncio
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from service.errors import ServiceError
from service.http.context import AppContext
from service.http.head import Head
from service.http.inference import Inference
from service.http.reply import CLIENT_CLOSED_REQUEST, Reply
from service.http.target import Target, target_of, unknown_target
from service.models.verbs import VERBS, Verb
from service.routes.openapi import operation

PATHS: Final = (  # and what they add to a verb's name in the names of operations
    ("/{verb}", ""),
    ("/models/{{model}}/{verb}", "_model"),
    ("/models/{{model}}/versions/{{version}}/{verb}", "_model_version"),
)


def create_router(context: AppContext) -> APIRouter:
    """Each verb at /verb, /models/{model}/verb and /models/{model}/versions/{version}/verb."""
    router = APIRouter(tags=["vae"])
    for verb in VERBS:
        for path, suffix in PATHS:
            _add_route(router, verb, context, path.format(verb=verb.name), suffix)
    return router


def _add_route(router: APIRouter, verb: Verb, context: AppContext, path: str, suffix: str) -> None:
    async def answer(request: Request) -> Response:
        target = target_of(request.scope["path"].encode())
        if target is None:
            params = request.path_params
            raise unknown_target(params.get("model"), params.get("version"))
        return await _answer(context, request, target)

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
    """Hands a request to its function as it is.

    There is nothing to inject, and finding that out costs FastAPI more than the verb's own work.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await super().handle(scope, receive, send)  # which refuses it
            return
        response = await self.endpoint(Request(scope, receive))
        await response(scope, receive, send)


async def _answer(context: AppContext, request: Request, target: Target) -> Response:
    """Pass the request on to an Inference, and wait for its reply or the client's end."""
    outcome: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()

    def answered(reply: Reply | None) -> None:
        if not outcome.done():
            outcome.set_result(reply)

    try:
        head = Head.of_scope(request.scope)
    except ServiceError as error:
        return context.reject(error, "POST", request.scope["path"])[0].response()
    inference = Inference(context, head, target, answered)
    receiving = asyncio.ensure_future(_receive(inference, request.receive))
    receiving.add_done_callback(lambda _: answered(None))
    try:
        reply = await outcome
    finally:
        receiving.cancel()
        inference.cancel()
    return Response(status_code=CLIENT_CLOSED_REQUEST) if reply is None else reply.response()


async def _receive(inference: Inference, receive: Receive) -> None:
    """Receive the body, then wait for the client's end."""
    inference.begin()
    message = await receive()
    while message["type"] == "http.request":
        inference.receive(message.get("body", b""))
        if not message.get("more_body", False):
            inference.finish()
            break
        message = await receive()
    while message["type"] != "http.disconnect":
        message = await receive()
