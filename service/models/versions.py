"""The state of every model version, and the decisions that follow from it. No I/O, no waiting.

``VersionState`` records which versions a scan found and what became of each load, and says which
version to load or unload next. A served version is unloaded only after every version that the
policy selects has been loaded or refused.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Literal

from service.models.store import Fingerprint, ModelVersion
from service.models.version_policy import Policy

State = Literal["serving", "loading", "refused", "unloaded"]


@dataclass(frozen=True)
class VersionStatus:
    """The status of one version, as ``GET /models`` reports it.

    A serving version has a ``reason`` if its files have changed and the new files were refused.
    ``unloaded``: the version is on the disk, but the policy or an unload request excludes it.
    """

    name: str
    version: int
    state: State
    reason: str | None = None


@dataclass(frozen=True)
class ServedFiles:
    """The files that a served version was loaded from, and the digest of their manifest."""

    fingerprint: Fingerprint
    digest: str


@dataclass(frozen=True)
class RefusedFiles:
    """Files that were refused. They are not tried again until the fingerprint changes."""

    fingerprint: Fingerprint
    reason: str


class VersionState:
    """Every version that is on the disk or served."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._scanned: Mapping[ModelVersion, Fingerprint] = {}
        self._stable: dict[ModelVersion, Fingerprint] = {}  # of files that may be read
        self._served: dict[ModelVersion, ServedFiles] = {}
        self._refused: dict[ModelVersion, RefusedFiles] = {}
        self._overrides: dict[ModelVersion, bool] = {}

    def update(self, scanned: Mapping[ModelVersion, Fingerprint], *, at_once: bool) -> None:
        """Record the result of a scan.

        New or changed files may be read after two scans with the same fingerprint, so that a bundle
        is not read while it is being copied. With ``at_once`` they may be read now. A version that
        is gone from the disk loses its refusal and its override.
        """
        stable = {
            version: fingerprint
            for version, fingerprint in scanned.items()
            if at_once or self._scanned.get(version) == fingerprint
        }
        former = {version: files for version, files in self._stable.items() if version in scanned}
        self._stable = former | stable
        self._scanned = scanned
        self._refused = {
            version: files for version, files in self._refused.items() if version in scanned
        }
        known = scanned.keys() | self._served.keys()
        self._overrides = {
            version: serve for version, serve in self._overrides.items() if version in known
        }

    def override(self, version: ModelVersion, *, serve: bool) -> None:
        """Serve or do not serve this version, whatever the policy says, until it is removed."""
        self._overrides[version] = serve
        self._refused.pop(version, None)

    def next_load(self) -> ModelVersion | None:
        """The lowest version that is to be loaded now, or None."""
        return min(filter(self._needs_load, self._selected()), default=None)

    def to_unload(self) -> list[ModelVersion]:
        """The versions to unload; ask after ``next_load`` has returned None.

        If the policy selects nothing at all, every version stays loaded unless an override excludes
        it: an empty directory usually means an unmounted volume.
        """
        selected = self._selected()
        excluded = sorted(self._served.keys() - selected)
        if selected:
            return excluded
        return [version for version in excluded if self._overrides.get(version) is False]

    def missing(self) -> list[ModelVersion]:
        """The versions that the policy lists and that are not on the disk."""
        return sorted(self._policy.listed - self._stable.keys())

    def served_digest(self, version: ModelVersion) -> str | None:
        """The manifest digest of the bundle that is served as this version, or None."""
        return self._served[version].digest if version in self._served else None

    def mark_served(self, version: ModelVersion, digest: str) -> None:
        """Record that the files of the last scan are served."""
        self._served[version] = ServedFiles(self._stable[version], digest)
        self._refused.pop(version, None)

    def mark_refused(self, version: ModelVersion, reason: str) -> None:
        """Record that the files of the last scan were refused. A former load stays served."""
        self._refused[version] = RefusedFiles(self._stable[version], reason)

    def retry(self, version: ModelVersion) -> None:
        """Forget that a version was refused, since the cause has gone."""
        self._refused.pop(version, None)

    def mark_unloaded(self, version: ModelVersion) -> None:
        """Record that the version is no longer served."""
        self._served.pop(version, None)

    def status(self, version: ModelVersion) -> VersionStatus | None:
        """The status of one version, or None if it is unknown."""
        return self._status(version, self._selected())

    def statuses(self) -> list[VersionStatus]:
        """The status of every version, sorted by name and version."""
        selected = self._selected()
        versions = sorted(self._stable.keys() | self._served.keys())
        return [status for each in versions if (status := self._status(each, selected))]

    def _status(self, version: ModelVersion, selected: Set[ModelVersion]) -> VersionStatus | None:
        if version not in self._stable and version not in self._served:
            return None
        refusal = self._refused.get(version)
        state: State
        if version in self._served:
            state = "serving"
        elif refusal:
            state = "refused"
        else:
            state = "loading" if version in selected else "unloaded"
        return VersionStatus(*version, state, refusal.reason if refusal else None)

    def _selected(self) -> set[ModelVersion]:
        """The versions that the overrides and the policy select, of those that can be served."""
        candidates = {
            version
            for version in self._stable
            if self._overrides.get(version) is not False
            and (version in self._served or not self._is_refused(version))
        }
        forced = {version for version in candidates if self._overrides.get(version)}
        return forced | self._policy.select(candidates)

    def _needs_load(self, version: ModelVersion) -> bool:
        served = self._served.get(version)
        changed = served is None or served.fingerprint != self._stable[version]
        return changed and not self._is_refused(version)

    def _is_refused(self, version: ModelVersion) -> bool:
        refusal = self._refused.get(version)
        return refusal is not None and refusal.fingerprint == self._stable[version]
