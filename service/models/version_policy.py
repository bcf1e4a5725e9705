"""The version policy: which of the versions on the disk are served."""

from collections.abc import Collection, Set
from dataclasses import dataclass

from service.models.store import ModelVersion
from service.settings import parse_listed_versions


@dataclass(frozen=True)
class Policy:
    """Every version, the latest version of each model, or the ``listed`` versions."""

    text: str
    listed: frozenset[ModelVersion] = frozenset()

    @classmethod
    def parse(cls, text: str) -> "Policy":
        """``all``, ``latest``, or a list such as ``digits/3,faces/1``. Raises ValueError."""
        listed = (ModelVersion(*version) for version in parse_listed_versions(text))
        return cls(text, frozenset(listed))

    def select(self, versions: Collection[ModelVersion]) -> Set[ModelVersion]:
        """Those of ``versions`` that are to be served."""
        if self.listed:
            return self.listed & set(versions)
        if self.text == "all":
            return set(versions)
        latest: dict[str, ModelVersion] = {}
        for version in versions:
            latest[version.name] = max(version, latest.get(version.name, version))
        return set(latest.values())
