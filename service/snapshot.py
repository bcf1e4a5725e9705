"""A private copy of verified bundles: workers start from it, whatever becomes of the originals."""

from collections.abc import Iterable
from pathlib import Path

from vae.bundle import MANIFEST, Bundle


def write_snapshot(bundles: Iterable[Bundle], root: Path, snapshot: Path) -> None:
    """Write ``bundles``, which were found under ``root``, to the same places under ``snapshot``.

    What is written are the bytes that were verified: the originals are not read again.
    """
    for bundle in bundles:
        directory = snapshot / bundle.path.relative_to(root)
        directory.mkdir(parents=True)
        (directory / MANIFEST).write_text(bundle.manifest.model_dump_json())
        for name, content in bundle.files.items():
            (directory / name).write_bytes(content)
