"""Loads bundles in this process: build the runtime, check it, warm it up, serve it."""

import logging
from collections.abc import Sequence
from functools import partial

from service.errors import BundleRefused
from service.models import time_limit
from service.models.golden import check_golden
from service.models.model import Model
from service.models.registry import ModelRegistry
from service.models.store import ModelVersion
from service.models.versions import VersionStatus
from service.runtimes import runtime
from service.runtimes.runtime import RuntimeUnusable
from service.settings import Settings
from service.telemetry.metrics import Metrics
from vae.bundle import Bundle, BundleError

logger = logging.getLogger(__name__)


class ModelLoader:
    """The Loader of one process; ``models`` has what the process serves.

    A load that takes longer than ``limit_seconds`` is given up, and the bundle refused. Its thread
    cannot be stopped, so a worker has no limit of its own: the supervisor replaces the worker.

    Raises RuntimeUnusable if there is no runtime of this name.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, limit_seconds: float | None = None
    ) -> None:
        self.models = ModelRegistry()
        self._settings = settings
        self._metrics = metrics
        self._limit_seconds = limit_seconds
        self._runtime_class = runtime.resolve(settings.runtime)

    def load_initial(self, bundle: Bundle) -> None:
        """Load a bundle at start-up, before the event loop runs. Raises BundleRefused."""
        if self._limit_seconds is None:
            self._add(self._build(bundle))
            return
        try:
            self._add(time_limit.start(partial(self._build, bundle)).result(self._limit_seconds))
        except TimeoutError:
            raise self._took_too_long() from None

    async def load(self, bundle: Bundle) -> None:
        """Load a bundle in a thread and serve it. Raises BundleRefused."""
        building = time_limit.start(partial(self._build, bundle))
        try:
            self._add(await time_limit.wait(building, self._limit_seconds))
        except TimeoutError:
            raise self._took_too_long() from None

    async def unload(self, version: ModelVersion) -> None:
        """Stop serving a version. Requests that its model is answering keep the model alive."""
        if model := self.models.remove(*version):
            self._metrics.remove_model(model.manifest)

    def publish_statuses(self, statuses: Sequence[VersionStatus]) -> None:
        """Show the status of every version in ``GET /models``, and how many are refused."""
        self.models.statuses = tuple(statuses)
        self._metrics.refused_versions = sum(status.reason is not None for status in statuses)

    def _build(self, bundle: Bundle) -> Model:
        """The model of a bundle, checked against its golden outputs. Raises BundleRefused."""
        settings = self._settings
        try:
            engine = self._runtime_class(
                bundle,
                device=settings.device,
                threads=settings.threads,
                precision=settings.precision,
            )
            check_golden(bundle, engine, settings.precision)
            return Model(bundle, engine, settings, self._metrics.batch_observer(bundle.manifest))
        except BundleError as error:
            raise BundleRefused(error.reason) from None
        except RuntimeUnusable as error:
            raise BundleRefused(str(error)) from None
        except Exception as error:  # of a runtime, or a lack of memory or threads
            logger.exception("bundle %s", bundle.path)
            raise BundleRefused(f"it cannot be loaded: {type(error).__name__}") from None

    def _took_too_long(self) -> BundleRefused:
        return BundleRefused(f"it was not loaded within {self._limit_seconds:g} s")

    def _add(self, model: Model) -> None:
        if former := self.models.remove(model.manifest.name, model.manifest.version):
            self._metrics.remove_model(former.manifest)
        self.models.add(model)
        self._metrics.add_model(model)
