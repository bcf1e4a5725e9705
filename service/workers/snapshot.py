"""Private copies of verified bundles: workers load these, whatever becomes of the originals."""

import itertools
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from vae.bundle import MANIFEST, Bundle, open_bundle


class Copy(NamedTuple):
    """Where the copy of a bundle is, and where the bundle was."""

    directory: str
    origin: str

    def open(self) -> Bundle:
        """The bundle, which says that it is the original. Raises BundleError."""
        bundle = open_bundle(Path(self.directory))
        return replace(bundle, path=Path(self.origin))


class Snapshot:
    """Copies in a directory of their own, each under a new number."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)

    def add(self, bundle: Bundle) -> Copy:
        """Write the bytes that were verified: the original is not read again. Raises OSError."""
        directory = self._directory / str(next(self._numbers))
        directory.mkdir(parents=True)
        (directory / MANIFEST).write_text(bundle.manifest.model_dump_json())
        for name, content in bundle.files.items():
            (directory / name).write_bytes(content)
        return Copy(str(directory), str(bundle.path))

    def keep(self, copies: Iterable[Copy]) -> None:
        """Remove all others."""
        kept = {copy.directory for copy in copies}
        for directory in self._directory.iterdir():
            if str(directory) not in kept:
                shutil.rmtree(directory, ignore_errors=True)
