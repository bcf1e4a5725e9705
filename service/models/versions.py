"""What is to be served and what is: decisions alone, no disk and no waiting.

The versions is told what lies on the disk and what became of each load, and says what to do next.
Whatever happens in between, following it leads to what the policy and the wishes ask for; a version
that is served is let go only when all that is to be served instead is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.models.store import ModelVersion, Stamp
from service.models.version_policy import Policy

State = Literal["serving", "loading", "refused", "unloaded"]


@dataclass(frozen=True)
class VersionStatus:
    """What the service says of one version.

    A version that is serving has a ``reason``, too, where its files have changed to what is
    refused. ``unloaded`` is what the policy or a wish leaves out.
    """

    name: str
    version: int
    state: State
    reason: str | None = None


@dataclass(frozen=True)
class Served:
    """The files that are served: their stamp when they were read, and their manifest's digest."""

    stamp: Stamp
    digest: str


@dataclass(frozen=True)
class Refusal:
    """Files that are not served, until they change."""

    stamp: Stamp
    reason: str


class VersionState:
    """Every version that is on the disk or served."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._seen: Mapping[ModelVersion, Stamp] = {}
        self._found: dict[ModelVersion, Stamp] = {}  # what was seen and may be read
        self._served: dict[ModelVersion, Served] = {}
        self._refused: dict[ModelVersion, Refusal] = {}
        self._wishes: dict[ModelVersion, bool] = {}

    def see(self, seen: Mapping[ModelVersion, Stamp], *, at_once: bool) -> None:
        """What lies on the disk now.

        Files count when they are the same the second time, or ``at_once``: a bundle that is copied
        into place is not read halfway. What is gone from the disk is forgotten, with all wishes.
        """
        settled = {k: stamp for k, stamp in seen.items() if at_once or self._seen.get(k) == stamp}
        former = {key: stamp for key, stamp in self._found.items() if key in seen}
        self._found = former | settled
        self._seen = seen
        self._refused = {key: each for key, each in self._refused.items() if key in seen}
        known = seen.keys() | self._served.keys()
        self._wishes = {key: each for key, each in self._wishes.items() if key in known}

    def wish(self, key: ModelVersion, *, serve: bool) -> None:
        """Whatever the policy says, until the version's directory is gone."""
        self._wishes[key] = serve
        self._refused.pop(key, None)

    def next_load(self) -> ModelVersion | None:
        """A version to read and load now, or None."""
        pending = [key for key in self._wanted() if self._is_news(key)]
        return min(pending, default=None)

    def unloads(self) -> list[ModelVersion]:
        """What to let go, when nothing is left to load.

        Where nothing at all is on the disk, everything stays: an empty directory is more often a
        volume that is not mounted than a wish to serve nothing.
        """
        wanted = self._wanted()
        unwanted = sorted(self._served.keys() - wanted)
        if wanted:
            return unwanted
        return [key for key in unwanted if self._wishes.get(key) is False]

    def missing(self) -> list[ModelVersion]:
        """Versions that the policy lists and that are not on the disk."""
        return sorted(self._policy.listed - self._found.keys())

    def digest(self, key: ModelVersion) -> str | None:
        """Of the bundle that is served, or None."""
        return self._served[key].digest if key in self._served else None

    def serve(self, key: ModelVersion, digest: str) -> None:
        """The files that are on the disk are served."""
        self._served[key] = Served(self._found[key], digest)
        self._refused.pop(key, None)

    def refuse(self, key: ModelVersion, reason: str) -> None:
        """The files that are on the disk are not served; what was served before still is."""
        self._refused[key] = Refusal(self._found[key], reason)

    def unload(self, key: ModelVersion) -> None:
        """No longer served."""
        del self._served[key]

    def entry(self, key: ModelVersion) -> VersionStatus | None:
        """What there is to say of a version, if it is known."""
        if key not in self._found and key not in self._served:
            return None
        refusal = self._refused.get(key)
        return VersionStatus(*key, self._state(key), refusal.reason if refusal else None)

    def entries(self) -> list[VersionStatus]:
        """Of every version, sorted."""
        keys = sorted(self._found.keys() | self._served.keys())
        return [entry for key in keys if (entry := self.entry(key))]

    def _state(self, key: ModelVersion) -> State:
        if key in self._served:
            return "serving"
        if key in self._refused:
            return "refused"
        return "loading" if key in self._wanted() else "unloaded"

    def _wanted(self) -> set[ModelVersion]:
        """What the policy and the wishes ask for, of what can be served."""
        candidates = {
            key
            for key in self._found
            if self._wishes.get(key) is not False
            and (key in self._served or not self._is_refused(key))
        }
        wished = {key for key in candidates if self._wishes.get(key)}
        return wished | self._policy.choose(candidates)

    def _is_news(self, key: ModelVersion) -> bool:
        served = self._served.get(key)
        return not self._is_refused(key) and (served is None or served.stamp != self._found[key])

    def _is_refused(self, key: ModelVersion) -> bool:
        return key in self._refused and self._refused[key].stamp == self._found[key]
