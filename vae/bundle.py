"""A bundle: the directory that training writes and a server loads, whole or not at all.

Writing goes to a temporary directory beside the target and is renamed, so that a reader sees a
whole bundle or none. Opening reads every file once, checks it against the manifest, and hands out
the verified bytes: nothing is read from the disk again, and nothing is executed or unpickled.
"""

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from vae.manifest import SCHEMA_VERSION, Content, FileName, Manifest

MANIFEST = "manifest.json"
Arrays = dict[str, np.ndarray[Any, Any]]


class BundleError(Exception):
    """A bundle cannot be used; the message names the place and the ``reason``."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"bundle {path}: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Bundle:
    """A verified bundle in memory."""

    path: Path
    manifest: Manifest
    files: Mapping[str, bytes]

    def arrays(self, file: str, *names: str) -> Arrays:
        """The arrays ``names`` of one of the bundle's ``.npz`` files.

        Raises BundleError when the file is not of that format or lacks one of them.
        """
        try:
            with np.load(BytesIO(self.files[file]), allow_pickle=False) as stored:
                return {name: stored[name] for name in names}
        except Exception as error:  # of zip, zlib, NumPy and the parsers under them
            raise BundleError(
                self.path, f"{file} does not hold {', '.join(names)}: {error}"
            ) from None


def open_bundle(path: Path) -> Bundle:
    """Read the bundle at ``path`` and verify it.

    Raises BundleError when the manifest is missing, malformed, of another schema version or not
    the one that was written, or when a file is missing or differs from its SHA-256.
    """
    manifest = read_manifest(path)
    files: dict[str, bytes] = {}
    for name, sha256 in manifest.files.items():
        content = _read(path, name)
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise BundleError(
                path, f"{name} is damaged: its SHA-256 is {found}, the manifest says {sha256}"
            )
        files[name] = content
    return Bundle(path, manifest, files)


def read_manifest(path: Path) -> Manifest:
    """The manifest of the bundle at ``path``, by itself verified; raises BundleError."""
    try:
        content = json.loads(_read(path, MANIFEST))
    except (ValueError, RecursionError) as error:
        raise BundleError(path, f"{MANIFEST} is not JSON: {error}") from None
    found = content.get("schema_version") if isinstance(content, dict) else None
    if type(found) is not int or found != SCHEMA_VERSION:  # True and 1.0 are equal to 1
        raise BundleError(
            path, f"{MANIFEST} has schema_version {found!r}; this program reads {SCHEMA_VERSION}"
        )
    try:
        return Manifest.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "content"
        raise BundleError(path, f"{MANIFEST}: {place}: {first['msg']}") from None


def write_bundle(root: Path, files: Mapping[FileName, bytes], **fields: Any) -> Path:
    """Write ``<root>/<name>/<version>/`` with the next free version and return its path.

    ``fields`` are those of the manifest but ``version`` and ``files``, which are found here.
    """
    model_directory = root / str(fields["name"])
    model_directory.mkdir(parents=True, exist_ok=True)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=model_directory))
    try:
        for name, content in files.items():
            _write(staging / name, content)
        while True:
            version = max(versions_in(model_directory), default=0) + 1
            manifest = Content(version=version, files=hashes, **fields).seal()
            _write(staging / MANIFEST, manifest.model_dump_json(indent=2).encode())
            target = model_directory / str(version)
            if _claim(staging, target):
                return target
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def versions_in(model_directory: Path) -> list[int]:
    """The versions of one model that are on the disk, ascending: directories named 1, 2, 3, …"""
    return sorted(
        int(entry.name)
        for entry in model_directory.iterdir()
        if entry.name.isascii() and entry.name.isdigit() and entry.name[0] != "0" and entry.is_dir()
    )


def to_npz(arrays: Arrays) -> bytes:
    """The bytes of an ``.npz`` file with these arrays."""
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _read(path: Path, name: str) -> bytes:
    try:
        with open(path / name, "rb", opener=_open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BundleError(path, f"{name} is not a regular file")
            return file.read()
    except OSError as error:
        raise BundleError(path, f"{name} cannot be read: {error.strerror}") from None


def _open_without_waiting(path: str, flags: int) -> int:
    """Without O_NONBLOCK, opening a FIFO waits for a writer; for regular files it has no effect."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _claim(staging: Path, target: Path) -> bool:
    """Rename onto ``target``; False when another writer took that version first."""
    staging.chmod(0o755)  # mkdtemp's 0700 would shut out a server that runs as another user
    try:
        staging.rename(target)
    except OSError:
        if target.exists():
            return False
        raise
    return True
