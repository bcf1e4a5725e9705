"""The service as a Ray Serve application: replicas over a cluster's nodes, which Ray watches.

    serve run --working-dir deploy/ray serving:application models=/models max_replicas=8

Every replica is the application of ``service.app`` over bundles of its own, with its own batchers.
Requests come through Ray's proxies and so by FastAPI's lane. Settings that are not options here are
VAE_* variables in the replicas' environment, API keys for one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import ceil
from pathlib import Path
from typing import Literal, Self

from fastapi import FastAPI
from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from ray import serve
from ray.serve import Application

from service.app import create_app
from service.models.loader import ModelLoader
from service.models.manager import ModelManager
from service.models.registry import choose_default
from service.settings import Settings
from service.telemetry.metrics import Metrics


class Options(BaseModel):
    """What ``serve run`` and a config file's ``args`` take.

    ``models`` is a directory that every node sees under this path. A replica is given ``cpus`` and
    ``gpus``, of which it may use a share: with gpus 0.5 two replicas have one. Their number is
    between ``min_replicas`` and ``max_replicas``, so many that each has about ``target_requests``
    in progress. A replica takes ``max_requests`` at once, which its batchers turn into batches.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Path
    default_model: str | None = None
    runtime: str = "onnx"
    cpus: PositiveFloat = 1.0
    gpus: NonNegativeFloat = 0.0
    min_replicas: PositiveInt = 1
    max_replicas: PositiveInt = 1
    target_requests: PositiveInt = 64
    max_requests: PositiveInt = 256

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas is {self.min_replicas}, more than max_replicas, {self.max_replicas}"
            )
        return self

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """Where a replica computes."""
        return "cuda" if self.gpus else "cpu"


def application(options: Options) -> Application:
    """The Serve application; Ray validates its arguments against Options."""
    deploy = serve.deployment(
        name="vae",
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus},
        autoscaling_config={
            "min_replicas": options.min_replicas,
            "max_replicas": options.max_replicas,
            "target_ongoing_requests": options.target_requests,
        },
        max_ongoing_requests=options.max_requests,
    )
    bound: Application = deploy(serve.ingress(_builder(options))()).bind()
    return bound


def create_replica(settings: Settings) -> FastAPI:
    """The application of one replica, which follows its bundles on the disk while it lives.

    Raises BundleError, RuntimeUnusable and UnknownModel like the service when it starts.
    """
    metrics = Metrics()
    loader = ModelLoader(settings, metrics, limit_seconds=settings.start_seconds)
    manager = ModelManager(settings, loader, metrics.count_load)
    names = manager.load_initial(loader.load_initial)
    loader.models.default = choose_default(settings.default_model, names)
    app = create_app(loader.models, settings, metrics)
    serving = app.router.lifespan_context

    @asynccontextmanager
    async def watching(app: FastAPI) -> AsyncIterator[None]:
        async with serving(app):
            watch = asyncio.create_task(manager.watch())
            yield
            watch.cancel()

    app.router.lifespan_context = watching
    return app


def _builder(options: Options) -> Callable[[], FastAPI]:
    """What Ray sends to a replica, to be called there."""

    def build() -> FastAPI:
        return create_replica(
            Settings(
                models=options.models,
                default_model=options.default_model,
                runtime=options.runtime,
                device=options.device,
                workers=1,
                threads=ceil(options.cpus),
            )
        )

    return build
