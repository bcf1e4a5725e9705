"""Bundles become models that this process serves."""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from service.errors import BundleRefused, UnknownModel
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
    """A process as a fleet of one; ``models`` is what it serves.

    Raises RuntimeUnusable when there is no such runtime.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.models = ModelRegistry()
        self._settings = settings
        self._metrics = metrics
        self._engine_class = runtime.resolve(settings.runtime)

    def move_in(self, bundles: Iterable[Bundle]) -> None:
        """Load what is to be served from the start. One that fails is enough to fail.

        Raises BundleError and RuntimeUnusable with the bundle's place, and UnknownModel when the
        default model is not among them. A model that is alone is the default from here on, whoever
        comes later.
        """
        for bundle in bundles:
            try:
                self._put(self._build(bundle))
            except RuntimeUnusable as error:
                raise RuntimeUnusable(f"bundle {bundle.path}: {error}") from None
        self.models.default = default_of(self._settings.default_model, self.models.names())

    async def load(self, bundle: Bundle) -> None:
        """Check a bundle, warm it up, and serve it. Raises BundleRefused."""
        try:
            model = await asyncio.to_thread(self._build, bundle)
        except BundleError as error:
            raise BundleRefused(error.reason) from None
        except RuntimeUnusable as error:
            raise BundleRefused(str(error)) from None
        except Exception as error:  # of engines, or of a lack of memory or threads
            logger.exception("bundle %s", bundle.path)
            raise BundleRefused(f"it cannot be loaded: {type(error).__name__}") from None
        self._put(model)

    async def unload(self, key: ModelVersion) -> None:
        """Requests that the model is answering keep it alive."""
        if model := self.models.take(*key):
            self._metrics.forget_model(model.manifest)

    def show(self, entries: Sequence[VersionStatus]) -> None:
        """For ``GET /models``."""
        self.models.entries = tuple(entries)

    def _build(self, bundle: Bundle) -> Model:
        """Raises BundleError, and RuntimeUnusable when a graph misses its golden outputs."""
        settings = self._settings
        engine = self._engine_class(
            bundle,
            device=settings.device,
            threads=settings.threads,
            precision=settings.precision,
        )
        check_golden(bundle, engine, settings.precision)
        observe = self._metrics.batch_observer(bundle.manifest)
        return Model(bundle, engine, settings, observe)

    def _put(self, model: Model) -> None:
        if former := self.models.take(model.manifest.name, model.manifest.version):
            self._metrics.forget_model(former.manifest)
        self.models.put(model)
        self._metrics.add_model(model.manifest, lambda: model.queued_rows)


def default_of(wanted: str | None, names: Sequence[str]) -> str | None:
    """The model of the bare paths: the one wanted, or the one that is alone.

    Raises UnknownModel when the one wanted is not there.
    """
    if wanted is not None and wanted not in names:
        raise UnknownModel(
            f"the default model {wanted!r} is not among those loaded: {', '.join(names)}"
        )
    return wanted or (names[0] if len(names) == 1 else None)
