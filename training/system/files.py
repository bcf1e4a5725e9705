"""Writing a file so that a reader, or a run that was killed, sees the old one or the new one."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` beside ``path``, flush it to the disk, and rename it there.

    Raises OSError, naming ``path``, when the disk is full or not writable; nothing stays behind.
    """
    staging = path.with_name(f".{path.name}.writing")
    try:
        with staging.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        staging.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def _sync_directory(path: Path) -> None:
    """The rename itself reaches the disk only with its directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
