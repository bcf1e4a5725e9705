"""The bundles on the disk: <name>/<version>/ in one directory, or one bundle alone."""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from vae.bundle import MANIFEST, Bundle, BundleError, open_bundle, read_manifest

MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # as in the manifest
VERSION: Final = re.compile(r"[1-9][0-9]{0,17}")


class ModelVersion(NamedTuple):
    """One version of a model."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


FileState = tuple[str, int, int, int, int]
"""Name, size, mtime, ctime and inode of a file; the size is -errno if ``stat`` failed."""

Fingerprint = tuple[FileState, ...]
"""The states of a bundle's files. It changes if any of them is written, replaced or removed."""


class Scan(NamedTuple):
    """What a scan found.

    ``skipped`` has the directories of the root in which no version can be found, with the reason.
    """

    versions: dict[ModelVersion, Fingerprint]
    skipped: dict[str, str]


class BundleStore:
    """The bundles under ``root``, which may be a bundle itself."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._former = Scan({}, {})
        self._root_bundle: tuple[Fingerprint, ModelVersion] | None = None

    def scan(self) -> Scan:
        """Find every bundle, without reading any.

        A file or directory that cannot be read never hides another version. Inside a version it
        becomes part of the fingerprint, and ``open`` gives the reason. A model whose directory
        cannot be read keeps the versions of the previous scan.

        Raises BundleError if the root cannot be read, so that a volume that is unavailable for a
        moment does not look like an empty one.
        """
        if os.path.lexists(self._root / MANIFEST):
            fingerprint = _fingerprint(self._root)
            self._former = Scan({self._version_of_root(fingerprint): fingerprint}, {})
            return self._former
        try:
            with os.scandir(self._root) as entries:
                directories = sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            raise BundleError(self._root, "there is no such directory") from None
        except NotADirectoryError:
            raise BundleError(self._root, "this is a file") from None
        except OSError as error:
            raise BundleError(self._root, f"cannot be read: {error.strerror}") from None
        scan = Scan({}, {})
        for entry in directories:
            if not entry.name.startswith("."):
                self._scan_model(entry, scan)
        self._former = scan
        return scan

    def open(self, version: ModelVersion) -> Bundle:
        """Read a bundle and verify it.

        Raises BundleError, also if its manifest has another name or version: it was copied, and
        would answer for a model that it is not.
        """
        bundle = open_bundle(self.path(version))
        found = ModelVersion(bundle.manifest.name, bundle.manifest.version)
        if found != version:
            raise BundleError(bundle.path, f"the manifest says {found}")
        return bundle

    def path(self, version: ModelVersion) -> Path:
        """The directory of a version."""
        if self._root_bundle is not None and self._root_bundle[1] == version:
            return self._root
        return self._root / version.name / str(version.version)

    def missing_error(self, versions: Sequence[ModelVersion] = ()) -> BundleError:
        """The error for ``versions`` that must be on the disk and are not; for no bundle at all."""
        if versions:
            return BundleError(self._root, f"there is no {', '.join(map(str, versions))} in it")
        reason = f"neither a bundle ({MANIFEST}) nor bundles as <name>/<version>/"
        return BundleError(self._root, reason)

    def hung_error(self, seconds: float) -> BundleError:
        """The error for a scan that does not end."""
        return BundleError(self._root, f"cannot be scanned within {seconds:g} s")

    def _scan_model(self, entry: "os.DirEntry[str]", scan: Scan) -> None:
        """Add the versions of one model's directory to ``scan``, or the reason for none."""
        try:
            if not stat.S_ISDIR(entry.stat().st_mode):
                return
            if not MODEL_NAME.fullmatch(entry.name):
                scan.skipped[entry.name] = "the name of the directory is not a model name"
                return
            with os.scandir(entry.path) as children:
                numbers = sorted(int(child.name) for child in children if _is_version(child))
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not entry.is_symlink():
                return  # removed since the root was listed
            scan.skipped[entry.name] = error.strerror or type(error).__name__
            scan.versions.update(
                (version, fingerprint)
                for version, fingerprint in self._former.versions.items()
                if version.name == entry.name
            )
            return
        for number in numbers:
            fingerprint = _fingerprint(f"{entry.path}/{number}")
            scan.versions[ModelVersion(entry.name, number)] = fingerprint

    def _version_of_root(self, fingerprint: Fingerprint) -> ModelVersion:
        """The version in the root's manifest; the former one if the manifest is now damaged.

        ``open`` then reports the damage. Raises BundleError if there is no former version.
        """
        if self._root_bundle is None or self._root_bundle[0] != fingerprint:
            try:
                manifest = read_manifest(self._root)
            except BundleError:
                if self._root_bundle is None:
                    raise
                return self._root_bundle[1]
            self._root_bundle = fingerprint, ModelVersion(manifest.name, manifest.version)
        return self._root_bundle[1]


def _is_version(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry of a model's directory is a version.

    A broken link or a directory without permissions counts: it is refused with the reason.
    """
    if not VERSION.fullmatch(entry.name):
        return False
    try:
        return entry.is_dir() or (entry.is_symlink() and not Path(entry).exists())
    except OSError:  # a link loop
        return True


def _fingerprint(directory: str | Path) -> Fingerprint:
    """The inode and ctime tell a file from another one of the same size and mtime."""
    try:
        with os.scandir(directory) as entries:
            return tuple(sorted(map(_file_state, entries)))
    except OSError as error:
        return (("", -(error.errno or 1), 0, 0, 0),)


def _file_state(entry: "os.DirEntry[str]") -> FileState:
    try:
        s = entry.stat()
    except OSError as error:
        return entry.name, -(error.errno or 1), 0, 0, 0
    return entry.name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino
