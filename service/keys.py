"""API keys as they are configured: in clear or as a digest, among the settings or in a file.

A digest is written ``sha256:`` and 64 hexadecimal digits. A plain SHA-256 is enough for keys that
are random and long, since nobody can guess them; for passwords it would not be.
"""

import re
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import SecretStr

HASHED: Final = re.compile(r"sha256:([0-9a-fA-F]{64})")


class KeysUnusable(Exception):
    """A file of keys cannot be used; the message says which and why, and shows no key."""


def well_formed(key: SecretStr) -> SecretStr:
    """The key itself. Raises ValueError for a digest that is none."""
    text = key.get_secret_value()
    if text.startswith("sha256:") and not HASHED.fullmatch(text):
        raise ValueError("expected 64 hexadecimal digits after sha256:")
    return key


def digest(key: str) -> bytes:
    """The SHA-256 of a key as it is configured, which may be that digest already."""
    hashed = HASHED.fullmatch(key)
    return bytes.fromhex(hashed[1]) if hashed else sha256(key.encode()).digest()


def read(file: Path | None) -> tuple[SecretStr, ...]:
    """The keys of a file: one a line, where empty ones and those that begin with # are none.

    Raises KeysUnusable, also for a file without keys: it was given to close the service.
    """
    if file is None:
        return ()
    try:
        lines = [line.strip() for line in file.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise KeysUnusable(f"the file of keys {file} cannot be read: {error}") from None
    keys = tuple(_key(file, *line) for line in enumerate(lines, 1) if _is_key(line[1]))
    if not keys:
        raise KeysUnusable(f"the file of keys {file} holds none")
    return keys


def _is_key(line: str) -> bool:
    return line != "" and not line.startswith("#")


def _key(file: Path, number: int, line: str) -> SecretStr:
    try:
        return well_formed(SecretStr(line))
    except ValueError as error:
        raise KeysUnusable(f"the file of keys {file}, line {number}: {error}") from None
