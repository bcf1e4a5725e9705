"""Which of the versions on the disk are served."""

import re
from collections.abc import Collection, Set
from dataclasses import dataclass
from typing import Final

from service.models.store import ModelVersion

LISTED: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)/([1-9][0-9]{0,17})")


@dataclass(frozen=True)
class Policy:
    """Every version, the latest of each model, or those of a list."""

    text: str
    listed: frozenset[ModelVersion] = frozenset()

    @classmethod
    def parse(cls, text: str) -> "Policy":
        """``all``, ``latest``, or ``name/version`` with commas between. Raises ValueError."""
        if text in ("all", "latest"):
            return cls(text)
        found = [LISTED.fullmatch(item.strip()) for item in text.split(",")]
        if not all(found):
            raise ValueError("expected all, latest, or a list such as digits/3,faces/1")
        return cls(text, frozenset(ModelVersion(item[1], int(item[2])) for item in found if item))

    def choose(self, keys: Collection[ModelVersion]) -> Set[ModelVersion]:
        """Those of ``keys`` that are to be served."""
        if self.listed:
            return self.listed & set(keys)
        if self.text == "all":
            return set(keys)
        latest: dict[str, ModelVersion] = {}
        for key in sorted(keys):
            latest[key.name] = key
        return set(latest.values())
