"""What lies on the disk: bundles as <name>/<version>/ in one directory, or one bundle alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vae.bundle import MANIFEST, Bundle, BundleError, open_bundle, read_manifest, versions_in


class ModelVersion(NamedTuple):
    """Which model, and which version of it."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


Stamp = tuple[tuple[str, int, int, int, int], ...]  # of a bundle's files; changes when one does


class BundleStore:
    """The bundles under ``root``, which may be one itself."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._alone: tuple[Stamp, ModelVersion] | None = None  # where the root is a bundle

    def scan(self) -> dict[ModelVersion, Stamp]:
        """Every bundle that is there, unread.

        Raises BundleError when the root cannot be read, so that a volume that is gone for a moment
        does not look like one that is empty.
        """
        try:
            if (self._root / MANIFEST).exists():
                stamp = _stamp(self._root)
                return {self._key_of_root(stamp): stamp}
            return {
                ModelVersion(path.parent.name, int(path.name)): _stamp(path)
                for path in self._find()
            }
        except FileNotFoundError as error:
            raise BundleError(self._root, f"{error.filename} went while it was read") from None
        except OSError as error:
            raise BundleError(self._root, f"cannot be read: {error.strerror}") from None

    def open(self, key: ModelVersion) -> Bundle:
        """Read a bundle and verify it. Raises BundleError.

        One that was copied to another name or version would answer for a model it is not.
        """
        alone = self._alone is not None and self._alone[1] == key
        bundle = open_bundle(self._root if alone else self._root / key.name / str(key.version))
        found = ModelVersion(bundle.manifest.name, bundle.manifest.version)
        if found != key:
            raise BundleError(bundle.path, f"the manifest says {found}")
        return bundle

    def lacks(self, keys: Sequence[ModelVersion]) -> BundleError:
        """The error for bundles that must be here and are not; none where any would do."""
        if keys:
            return BundleError(self._root, f"there is no {', '.join(map(str, keys))} in it")
        reason = f"neither a bundle ({MANIFEST}) nor bundles as <name>/<version>/"
        return BundleError(self._root, reason)

    def _find(self) -> Iterator[Path]:
        if not self._root.is_dir():
            reason = "this is a file" if self._root.is_file() else "there is no such directory"
            raise BundleError(self._root, reason)
        for directory in sorted(self._root.iterdir()):
            if directory.is_dir() and not directory.name.startswith("."):
                yield from (directory / str(version) for version in versions_in(directory))

    def _key_of_root(self, stamp: Stamp) -> ModelVersion:
        """By its manifest; the former key when that is damaged, for ``open`` to say so."""
        if self._alone is None or self._alone[0] != stamp:
            try:
                manifest = read_manifest(self._root)
            except BundleError:
                if self._alone is None:
                    raise
                return self._alone[1]
            self._alone = stamp, ModelVersion(manifest.name, manifest.version)
        return self._alone[1]


def _stamp(directory: Path) -> Stamp:
    """By size, times and inode: what was replaced by a file as old and as long differs, too."""
    files = sorted(directory.iterdir())
    stats = [(file.name, file.stat()) for file in files]
    return tuple((name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for name, s in stats)
