"""The models that are served: found on the disk, verified, checked, looked up by name."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from service.errors import UnknownModel
from service.golden import check_golden
from service.metrics import Metrics
from service.model import Model
from service.runtimes import runtime
from service.runtimes.runtime import RuntimeUnusable
from service.settings import Settings
from vae.bundle import MANIFEST, Bundle, BundleError, open_bundle, versions_in

logger = logging.getLogger(__name__)


class Repository:
    """Loaded models by name and version; the highest version of a name is its latest."""

    def __init__(self, models: Mapping[str, Mapping[int, Model]], default: str | None) -> None:
        self._models = models
        self.default = default

    def __iter__(self) -> Iterator[Model]:
        return (model for versions in self._models.values() for model in versions.values())

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._models)

    def versions(self, name: str) -> list[int]:
        """The versions of a name, ascending."""
        return sorted(self._models[name])

    def get(self, name: str | None = None, version: int | None = None) -> Model:
        """The model; its latest version when none is given, the default when no name is.

        Raises UnknownModel, also when there are several models and no default.
        """
        name = name or self.default
        versions = self._models.get(name) if name else None
        if versions is None:
            raise self._unknown(name)
        model = versions.get(max(versions) if version is None else version)
        if model is None:
            raise UnknownModel(
                f"this version of {name} is not served",
                expected=", ".join(map(str, sorted(versions))),
                given=version,
            )
        return model

    def _unknown(self, name: str | None) -> UnknownModel:
        served = ", ".join(self.names())
        if name is None:
            return UnknownModel(
                "several models are served and none is the default",
                expected=f"/models/…/ with one of {served}",
            )
        return UnknownModel("this model is not served", expected=served, given=name)

    async def close(self) -> None:
        """Close every model."""
        for model in self:
            await model.close()


def load(settings: Settings, metrics: Metrics) -> Repository:
    """Load every bundle under ``settings.models``; golden outputs are checked before any is served.

    Raises BundleError for a bundle that cannot be trusted, and RuntimeUnusable when the runtime or
    device is missing or its outputs are not the golden ones. One bad bundle is enough: a server
    that starts serves all that it was given.
    """
    models: dict[str, dict[int, Model]] = {}
    for bundle in verified(settings.models):
        model = _load_one(bundle, settings, metrics)
        models.setdefault(model.manifest.name, {})[model.manifest.version] = model
        logger.info("loaded %s from %s", model.label, bundle.path)
    return Repository(models, _default(settings.default_model, models))


def verified(root: Path) -> Iterator[Bundle]:
    """``root`` itself when it is a bundle, else every bundle in it, read and verified.

    Raises BundleError for one that cannot be trusted, and when there is none.
    """
    return (_open(path, root) for path in _find(root))


def _find(root: Path) -> list[Path]:
    """``root`` itself when it is a bundle, else every <name>/<version>/ in it."""
    if (root / MANIFEST).exists():
        return [root]
    if not root.is_dir():
        raise BundleError(
            root, "this is a file" if root.is_file() else "there is no such directory"
        )
    found = [
        directory / str(version)
        for directory in sorted(root.iterdir())
        if directory.is_dir() and not directory.name.startswith(".")
        for version in versions_in(directory)
    ]
    if not found:
        raise BundleError(root, f"neither a bundle ({MANIFEST}) nor bundles as <name>/<version>/")
    return found


def _open(path: Path, root: Path) -> Bundle:
    """A bundle that was copied to another name or version would answer for a model it is not."""
    bundle = open_bundle(path)
    manifest = bundle.manifest
    if path != root and (path.parent.name, path.name) != (manifest.name, str(manifest.version)):
        raise BundleError(path, f"the manifest says {manifest.name}/{manifest.version}")
    return bundle


def _load_one(bundle: Bundle, settings: Settings, metrics: Metrics) -> Model:
    engine_class = runtime.resolve(settings.runtime)
    try:
        engine = engine_class(bundle, device=settings.device, threads=settings.threads)
        check_golden(bundle, engine)
    except RuntimeUnusable as error:
        raise RuntimeUnusable(f"bundle {bundle.path}: {error}") from None
    model = Model(bundle, engine, settings, metrics.batch_observer(bundle.manifest))
    metrics.add_model(bundle.manifest, lambda: model.queued_rows)
    return model


def _default(wanted: str | None, models: Mapping[str, object]) -> str | None:
    if wanted is not None and wanted not in models:
        raise UnknownModel(
            f"the default model {wanted!r} is not among those loaded: {', '.join(models)}"
        )
    return wanted or (next(iter(models)) if len(models) == 1 else None)
