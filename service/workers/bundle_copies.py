"""Private copies of verified bundles. Workers load these, whatever happens to the originals."""

import itertools
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vae.bundle import MANIFEST, Bundle, BundleError, open_bundle


@dataclass(frozen=True)
class BundleCopy:
    """The directory of a copy, its files, the directory of the original and the bundle's digest."""

    directory: str
    files: tuple[str, ...]
    origin: str
    digest: str | None

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "BundleCopy":
        """What ``to_json`` gave, after JSON has made lists of its tuples."""
        return cls(**{**fields, "files": tuple(fields["files"])})

    def to_json(self) -> dict[str, Any]:
        """The fields, which JSON can hold."""
        return asdict(self)

    def open(self) -> Bundle:
        """The bundle, with the path of the original. Raises BundleError."""
        bundle = open_bundle(Path(self.directory))
        return replace(bundle, path=Path(self.origin))

    @property
    def is_complete(self) -> bool:
        """Whether no file was removed."""
        return all(Path(self.directory, name).is_file() for name in self.files)


class BundleCopies:
    """Copies below one directory, each in a subdirectory with a number of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)

    def add(self, bundle: Bundle) -> BundleCopy:
        """Write the verified bytes; the original is not read again. Raises OSError."""
        directory = self._directory / str(next(self._numbers))
        copy = BundleCopy(
            directory=str(directory),
            files=(MANIFEST, *bundle.files),
            origin=str(bundle.path),
            digest=bundle.manifest.digest,
        )
        _write(directory, bundle)
        return copy

    def restore(self, copy: BundleCopy) -> None:
        """Write a copy again if files were removed from it, as programs that clean /tmp do.

        Raises BundleError if the original is not the same bundle any more, and OSError.
        """
        if copy.is_complete:
            return
        origin = Path(copy.origin)
        bundle = open_bundle(origin)
        if bundle.manifest.digest != copy.digest:
            raise BundleError(origin, "it has changed, and the private copy of it was removed")
        _write(Path(copy.directory), bundle)

    def remove_except(self, copies: Iterable[BundleCopy]) -> None:
        """Remove all other copies."""
        kept = {copy.directory for copy in copies}
        if self._directory.is_dir():
            for directory in self._directory.iterdir():
                if str(directory) not in kept:
                    shutil.rmtree(directory, ignore_errors=True)


def touch_all(directory: Path) -> None:
    """Set the times of everything below to now: programs that clean /tmp remove what is old."""
    for path in (directory, *directory.rglob("*")):
        try:
            os.utime(path)
        except FileNotFoundError:  # removed since it was listed
            continue


def _write(directory: Path, bundle: Bundle) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MANIFEST).write_text(bundle.manifest.model_dump_json())
    for name, content in bundle.files.items():
        (directory / name).write_bytes(content)
