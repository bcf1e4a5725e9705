"""Write a file atomically: a reader, or a run that was killed, finds the old or the new file."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to a temporary file beside ``path``, flush it to disk and rename it.

    Raises OSError with the name of ``path`` if the disk is full or not writable. The temporary file
    is removed then.
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
    """Flush the directory, or the rename could be lost in a crash."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
