"""Health, metrics, and what is served."""

import time
from typing import Any, Final

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel

from service.errors import Unavailable
from service.http.context import AppContext
from service.models.model import Model
from service.models.registry import ModelRegistry
from service.models.versions import VersionStatus
from service.routes.openapi import problems
from service.routes.paths import ModelPath, VersionPath
from service.telemetry import metrics as prometheus
from vae import manifest

UNKNOWN_MODEL: Final = problems({404: "No such model or version"})


class Limits(BaseModel):
    """What one request to a model may have: rows, values that are computed, bytes of its body."""

    rows: int
    values: int
    body_bytes: int


class ModelDescription(BaseModel):
    """One version of a model, as its manifest has it, and the limits of a request."""

    name: str
    version: int
    versions: list[int]
    created: AwareDatetime
    input: manifest.InputSpec
    latent_dim: int
    likelihood: manifest.LikelihoodSpec
    network: manifest.NetworkSpec
    latents: manifest.LatentsSpec
    condition: manifest.Condition | None
    metrics: dict[str, float]
    calibration: manifest.Calibration
    limits: Limits


class ModelList(BaseModel):
    """The latest version of every model, and the name that the bare paths serve.

    ``versions`` are all that are on the disk or served, with what became of each.
    """

    default: str | None
    models: list[ModelDescription]
    versions: list[VersionStatus]


def create_router(context: AppContext) -> APIRouter:
    """/health/live, /health/ready, /metrics, /models and the description of each model."""
    router = APIRouter(tags=["operations"])
    models, metrics, shutdown = context.models, context.metrics, context.shutdown
    stuck_seconds = context.timeout_seconds + context.settings.hang_seconds

    @router.get(
        "/health/live",
        operation_id="live",
        summary="Is the process alive?",
        responses=problems({503: "A batch has run for longer than any request may take"}),
    )
    async def live() -> dict[str, Any]:
        _check_progress(models, stuck_seconds)
        return {"live": True}

    @router.get(
        "/health/ready",
        operation_id="ready",
        summary="May it be sent requests?",
        responses=problems({503: "No model is served, or shutting down"}),
    )
    async def ready() -> dict[str, Any]:
        if shutdown.announced:
            raise Unavailable("the server is shutting down")
        if not models.names():
            raise Unavailable("no model is served")
        return {"ready": True, "models": [model.label for model in models]}

    @router.get(
        "/metrics",
        operation_id="metrics",
        summary="Prometheus metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def scrape() -> Response:
        return Response(
            await metrics.render_in_thread(), headers={"Content-Type": prometheus.CONTENT_TYPE}
        )

    @router.get("/models", operation_id="list_models", summary="What is served")
    async def list_models() -> ModelList:
        latest = [_describe(context, models.get(name)) for name in models.names()]
        default = models.default if models.default in models.names() else None
        return ModelList(default=default, models=latest, versions=list(models.statuses))

    @router.get(
        "/models/{model}",
        operation_id="describe_model",
        summary="A model's latest version",
        responses=UNKNOWN_MODEL,
    )
    async def describe_model(model: ModelPath) -> ModelDescription:
        return _describe(context, models.get(model))

    @router.get(
        "/models/{model}/versions/{version}",
        operation_id="describe_model_version",
        summary="One version of a model",
        responses=UNKNOWN_MODEL,
    )
    async def describe_version(model: ModelPath, version: VersionPath) -> ModelDescription:
        return _describe(context, models.get(model, version))

    return router


def _check_progress(models: ModelRegistry, stuck_seconds: float) -> None:
    """Raises Unavailable if a batch has run for longer than ``stuck_seconds``."""
    for model in models:
        started = model.batch_running_since()
        if started is not None and time.monotonic() - started > stuck_seconds:
            raise Unavailable(f"a batch of {model.label} does not end")


def _describe(context: AppContext, model: Model) -> ModelDescription:
    fields = {
        name: getattr(model.manifest, name)
        for name in ModelDescription.model_fields
        if name not in ("versions", "limits")
    }
    settings = context.settings
    return ModelDescription(
        versions=context.models.versions(model.manifest.name),
        limits=Limits(
            rows=settings.max_request_rows,
            values=model.max_values,
            body_bytes=settings.max_body_bytes,
        ),
        **fields,
    )
