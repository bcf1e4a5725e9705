"""The application: the table of routers, middleware and error handlers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Lifespan

from service.errors import RoutingError
from service.http.context import AppContext
from service.http.middleware import Authenticate, RecordRequests
from service.http.reply import problem
from service.http.target import unknown_target
from service.models.manager import ModelAdmin
from service.models.registry import ModelRegistry
from service.routes import admin as admin_routes
from service.routes import models as model_routes
from service.routes import pages, verbs
from service.routes.openapi import leave_out_validation, say_which_keys
from service.settings import Settings
from service.telemetry.metrics import Metrics

CORS_REQUEST_HEADERS: Final = ("X-API-Key", "Authorization", "X-Timeout-Ms", "X-Request-Id")
CORS_REPLY_HEADERS: Final = ("X-Request-Id", "X-Model", "Retry-After")


def create_app(
    models: ModelRegistry, settings: Settings, metrics: Metrics, admin: ModelAdmin | None = None
) -> FastAPI:
    """The ASGI application over loaded models, which it closes when it stops.

    With ``admin`` and ``admin_keys`` it has the routes that load and unload models. Its state holds
    the AppContext, which the connections share.
    """
    context = AppContext(models, settings, metrics)
    app = Application(
        title="VAE server",
        version=version("vae-server"),
        summary="Encode, decode, sample, reconstruct and score with variational autoencoders",
        lifespan=_closing(context),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        redirect_slashes=False,  # a redirect would lose a prefix and https, and send a body twice
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        middleware=_middleware(context, settings),
    )
    app.state.context = context
    app.state.asks_for_keys = bool(context.api_keys)
    app.exception_handler(RequestValidationError)(_on_bad_path)
    app.exception_handler(HTTPException)(_on_http_exception)
    app.include_router(verbs.create_router(context))
    app.include_router(model_routes.create_router(context))
    if admin and context.admin_keys:
        app.include_router(admin_routes.create_router(admin, context.admin_keys))
    app.mount("/static", pages.Files(), name="static")
    app.add_route("/", pages.playground, include_in_schema=False)
    if settings.docs:
        app.add_route("/docs", pages.docs, include_in_schema=False)
    return app


class Application(FastAPI):
    """FastAPI, whose document says which operations ask for a key, and how they refuse."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            leave_out_validation(document)
            say_which_keys(document, api=self.state.asks_for_keys)
        return super().openapi()


def _middleware(context: AppContext, settings: Settings) -> list[Middleware]:
    """From the outside in. CORS is around the key: pages may read refusals, too."""
    return [
        Middleware(RecordRequests, context=context),
        *_cross_origin(settings.cors_origins),
        Middleware(Authenticate, context=context),
    ]


def _cross_origin(origins: Sequence[str]) -> list[Middleware]:
    """Lets pages of other origins send requests, if the settings name any."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=CORS_REQUEST_HEADERS,
            expose_headers=CORS_REPLY_HEADERS,
        )
    ]


def _closing(context: AppContext) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        yield
        await context.models.close()
        context.writer.shutdown(wait=False)

    return lifespan


async def _on_bad_path(request: Request, error: RequestValidationError) -> Response:
    """FastAPI validates nothing here but the version in a path."""
    del error
    given = request.path_params.get("version")
    return problem(unknown_target(None, str(given))).response()


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    """Starlette's own: no such path, or not this method."""
    detail = f"{request.method} {request.scope['path']}: {error.detail}"
    response = problem(RoutingError(error.status_code, detail)).response()
    response.headers.update(error.headers or {})
    return response
