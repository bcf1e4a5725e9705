"""Health, metrics, and what is served."""

from typing import Any, Final

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel

from service.errors import Unavailable
from service.http.shutdown import GracefulShutdown
from service.models.model import Model
from service.models.registry import ModelRegistry
from service.models.versions import VersionStatus
from service.routes.openapi import problems
from service.routes.paths import ModelPath, VersionPath
from service.telemetry import metrics as prometheus
from service.telemetry.metrics import Metrics
from vae import manifest

UNKNOWN_MODEL: Final = problems({404: "No such model or version"})


class ModelDescription(BaseModel):
    """One version of a model, as its manifest has it."""

    name: str
    version: int
    versions: list[int]
    created: AwareDatetime
    input: manifest.InputSpec
    latent_dim: int
    likelihood: manifest.Likelihood
    network: manifest.Network
    latents: manifest.Latents
    condition: manifest.Condition | None
    metrics: dict[str, float]
    calibration: manifest.Calibration


class ModelList(BaseModel):
    """The latest version of every model, and the name that the bare paths serve.

    ``versions`` are all that are on the disk or served, with what became of each.
    """

    default: str | None
    models: list[ModelDescription]
    versions: list[VersionStatus]


def create_router(models: ModelRegistry, metrics: Metrics, shutdown: GracefulShutdown) -> APIRouter:
    """/health/live, /health/ready, /metrics, /models and the description of each model."""
    router = APIRouter(tags=["operations"])

    @router.get("/health/live", operation_id="live", summary="Is the process alive?")
    async def live() -> dict[str, Any]:
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
        latest = [_describe(models, models.get(name)) for name in models.names()]
        default = models.default if models.default in models.names() else None
        return ModelList(default=default, models=latest, versions=list(models.statuses))

    @router.get(
        "/models/{model}",
        operation_id="describe_model",
        summary="A model's latest version",
        responses=UNKNOWN_MODEL,
    )
    async def describe_model(model: ModelPath) -> ModelDescription:
        return _describe(models, models.get(model))

    @router.get(
        "/models/{model}/versions/{version}",
        operation_id="describe_model_version",
        summary="One version of a model",
        responses=UNKNOWN_MODEL,
    )
    async def describe_version(model: ModelPath, version: VersionPath) -> ModelDescription:
        return _describe(models, models.get(model, version))

    return router


def _describe(models: ModelRegistry, model: Model) -> ModelDescription:
    fields = {
        name: getattr(model.manifest, name)
        for name in ModelDescription.model_fields
        if name != "versions"
    }
    return ModelDescription(versions=models.versions(model.manifest.name), **fields)
