"""The models that this process serves, looked up by name and version."""

from collections.abc import Iterator, Mapping, Sequence

from service.errors import UnknownModel
from service.models.model import Model
from service.models.versions import VersionStatus


class ModelRegistry:
    """Loaded models by name and version; the highest version of a name is its latest.

    ``default`` is the name that the bare paths serve, if any. ``entries`` is what there is to say
    of every version, also of those that are not served.

    A request keeps the model that it was given. One that is taken out here is gone, with its
    sessions and threads, when the last of its requests is.
    """

    def __init__(
        self, models: Mapping[str, Mapping[int, Model]] | None = None, default: str | None = None
    ) -> None:
        self._models = {name: dict(versions) for name, versions in (models or {}).items()}
        self.default = default
        self.entries: Sequence[VersionStatus] = ()

    def __iter__(self) -> Iterator[Model]:
        return (model for versions in self._models.values() for model in versions.values())

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._models)

    def versions(self, name: str) -> list[int]:
        """The versions of a name, ascending."""
        return sorted(self._models[name])

    def put(self, model: Model) -> None:
        """Serve this model from now on, in place of the same version if there is one."""
        self._models.setdefault(model.manifest.name, {})[model.manifest.version] = model

    def take(self, name: str, version: int) -> Model | None:
        """Serve this version no more; the model, if it was served."""
        versions = self._models.get(name, {})
        model = versions.pop(version, None)
        if not versions:
            self._models.pop(name, None)
        return model

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
        for model in list(self):
            await model.close()
