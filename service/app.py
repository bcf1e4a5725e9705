"""The application: the table of routers, middleware and error handlers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Lifespan

from service.errors import RoutingError, ServiceError, UnknownModel
from service.metrics import Metrics
from service.middleware import (
    ApiKey,
    BodyLimit,
    Failures,
    ReplyHeaders,
    RequestMetrics,
    problem_response,
)
from service.repository import Repository
from service.routes import ops, vae
from service.settings import Settings

STATIC = Path(__file__).parent / "static"


def create_app(models: Repository, settings: Settings, metrics: Metrics) -> FastAPI:
    """The ASGI application over loaded models, which it closes when it stops."""
    app = FastAPI(
        title="VAE server",
        version=version("vae-server"),
        summary="Encode, decode, sample, reconstruct and score with variational autoencoders",
        lifespan=_closing(models),
        docs_url="/docs" if settings.docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        middleware=_middleware(settings, metrics),
    )
    app.exception_handler(ServiceError)(_on_service_error)
    app.exception_handler(RequestValidationError)(_on_bad_path)
    app.exception_handler(HTTPException)(_on_http_exception)
    app.include_router(vae.create_router(models, settings))
    app.include_router(ops.create_router(models, metrics))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_api_route("/", _playground, name="playground", include_in_schema=False)
    return app


def _middleware(settings: Settings, metrics: Metrics) -> list[Middleware]:
    """From the outside in."""
    keys = [key.get_secret_value() for key in settings.api_keys]
    return [
        Middleware(ReplyHeaders),
        Middleware(RequestMetrics, metrics=metrics),
        *([Middleware(ApiKey, keys=keys)] if keys else []),
        Middleware(Failures),
        Middleware(BodyLimit, max_bytes=settings.max_body_bytes),
    ]


def _closing(models: Repository) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        yield
        await models.close()

    return lifespan


async def _playground() -> FileResponse:
    return FileResponse(STATIC / "index.html")


async def _on_service_error(request: Request, error: ServiceError) -> Response:
    del request
    return problem_response(error)


async def _on_bad_path(request: Request, error: RequestValidationError) -> Response:
    """FastAPI validates nothing here but the version in a path."""
    del error
    given = request.path_params.get("version")
    return problem_response(
        UnknownModel("this is not a version", expected="a whole number from 1", given=given)
    )


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    """Starlette's own: no such path, or not this method."""
    detail = f"{request.method} {request.scope['path']}: {error.detail}"
    reply = problem_response(RoutingError(error.status_code, detail))
    reply.headers.update(error.headers or {})
    return reply
