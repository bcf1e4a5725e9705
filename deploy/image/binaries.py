"""Programs and shared libraries in a tree: what is one, what it loads, and its debug symbols."""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

BUNDLED: Final = "*.libs/*"  # where wheels keep libraries that are not Python's


def binaries(root: Path) -> Iterator[Path]:
    """Every ELF file below ``root``."""
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def loaded_by(files: Iterable[Path]) -> set[Path]:
    """What the dynamic linker would load for these, the linker itself included.

    Raises FileNotFoundError when a library is missing here: it would be in the image as well.
    """
    found = set()
    for file in files:
        report = output("ldd", str(file), check=False)  # it fails for what is linked statically
        if "not found" in report:
            raise FileNotFoundError(f"{file} needs what is not installed:\n{report}")
        found |= set(re.findall(r"(?:=>|^)\s+(/\S+) \(", report, re.MULTILINE))
    return {Path(os.path.normpath(path)) for path in found}


def prune(root: Path) -> None:
    """Delete the bundled libraries that nothing else loads."""
    bundled = {file for file in binaries(root) if file.match(BUNDLED)}
    for orphan in bundled - loaded_by(set(binaries(root)) - bundled):
        orphan.unlink()


def strip(root: Path) -> None:
    """Drop symbols that no linker needs, but of bundled libraries: rewritten ones break by it."""
    for file in binaries(root):
        if not file.match(BUNDLED):
            output("strip", "--strip-unneeded", str(file))


def output(*command: str, check: bool = True) -> str:
    """What a command prints. Raises CalledProcessError when it fails and that counts."""
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout  # noqa: S603
