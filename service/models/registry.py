"""The models that this process serves, by name and version."""

from collections.abc import Iterator, Mapping, Sequence

from service.errors import UnknownModel
from service.models.model import Model
from service.models.versions import VersionStatus


class ModelRegistry:
    """Loaded models by name and version; the highest version of a name is its latest.

    ``default`` is the name of the model that ``/encode`` and the other bare paths use, if any.
    ``statuses`` lists every version that is on the disk or served.

    A request keeps the model that it started with. A removed model, with its sessions and threads,
    is freed when its last request ends.
    """

    def __init__(
        self, models: Mapping[str, Mapping[int, Model]] | None = None, default: str | None = None
    ) -> None:
        self._models = {name: dict(versions) for name, versions in (models or {}).items()}
        self.default = default
        self.statuses: Sequence[VersionStatus] = ()

    def __iter__(self) -> Iterator[Model]:
        return (model for versions in self._models.values() for model in versions.values())

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._models)

    def versions(self, name: str) -> list[int]:
        """The versions of a name, ascending."""
        return sorted(self._models[name])

    def add(self, model: Model) -> None:
        """Serve this model from now on. It replaces a model of the same name and version."""
        self._models.setdefault(model.manifest.name, {})[model.manifest.version] = model

    def remove(self, name: str, version: int) -> Model | None:
        """Stop serving this version; return its model, or None if it was not served."""
        versions = self._models.get(name, {})
        model = versions.pop(version, None)
        if not versions:
            self._models.pop(name, None)
        return model

    def get(self, name: str | None = None, version: int | None = None) -> Model:
        """The model: its latest version if no version is given, the default if no name is.

        Raises UnknownModel if it is not served, or if no name is given and there is no default.
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


def choose_default(requested: str | None, names: Sequence[str]) -> str | None:
    """The model of the bare paths: the requested one, or the only one of ``names``.

    ``names`` has every model that the policy selects, also those that were refused: which model
    answers on the bare paths must not depend on which one could be loaded.

    Raises UnknownModel if the requested one is not among them.
    """
    if requested is not None and requested not in names:
        raise UnknownModel(
            f"the default model {requested!r} is not among the models: {', '.join(names)}"
        )
    return requested or (names[0] if len(names) == 1 else None)
