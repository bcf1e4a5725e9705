"""The version policy: which of the versions on the disk are served."""

import re
from collections.abc import Collection, Set
from dataclasses import dataclass
from typing import Final

from service.models.store import ModelVersion

LISTED: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)/([1-9][0-9]{0,17})")


@dataclass(frozen=True)
class Policy:
    """Every version, the latest version of each model, or the ``listed`` versions."""

    text: str
    listed: frozenset[ModelVersion] = frozenset()

    @classmethod
    def parse(cls, text: str) -> "Policy":
        """``all``, ``latest``, or a list such as ``digits/3,faces/1``. Raises ValueError."""
        if text in ("all", "latest"):
            return cls(text)
        found = [LISTED.fullmatch(item.strip()) for item in text.split(",")]
        if not all(found):
            raise ValueError("expected all, latest, or a list such as digits/3,faces/1")
        return cls(text, frozenset(ModelVersion(item[1], int(item[2])) for item in found if item))

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
