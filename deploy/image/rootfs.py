"""``python -m deploy.image.rootfs PACKAGES ROOT``: the whole file system of the service's image.

Python, the packages, the shared libraries that either loads, and nothing else: no shell, no package
manager, no compiler. What is left out is named here. Runs as a stage of the Dockerfile, in an image
of Debian that has everything.
"""

import os
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from fnmatch import fnmatch
from importlib.util import source_from_cache
from pathlib import Path
from typing import Final

from deploy.image.binaries import binaries, loaded_by, output, prune, strip

STDLIB: Final = Path(sysconfig.get_path("stdlib"))
UNUSED_STDLIB: Final = (
    *("config-*", "distutils", "ensurepip", "idlelib", "lib2to3", "site-packages", "test"),
    *("curses", "dbm", "doctest*", "pydoc*", "sqlite3", "tkinter", "turtle*", "unittest/mock*"),
    *("*/_codecs_*", "*/_curses*", "*/_dbm*", "*/_gdbm*", "*/_sqlite3*", "*/_tkinter*"),
    *("*/nis.*", "*/readline*", "*/tests", "*/_test*", "*/_ctypes_test*", "*/xxlimited*"),
    *("*/_lsprof*", "*/_xxtestfuzz*", "*/audioop*", "*/ossaudiodev*"),
    # Tables of single bytes; zip files need cp437.
    *("encodings/cp[0-35-9]*", "encodings/iso8859_[2-9]*", "encodings/iso8859_1?*"),
    *("encodings/koi8_*", "encodings/mac_*"),
    *("_pydecimal*", "_pyio*", "optparse*", "pdb*", "pickletools*", "venv", "xmlrpc"),
    *("ftplib*", "imaplib*", "mailbox*", "nntplib*", "poplib*", "smtp*", "telnetlib*"),
)
UNUSED_PACKAGES: Final = (
    *("*/tests", "*/testing", "*/include", "*.a", "*.pyi", "*.pxd", "*.pyx", "bin", "training"),
    # The first is for programs in C; Python's module holds a copy of its own.
    *("onnxruntime/capi/libonnxruntime.so*", "onnxruntime/quantization"),
    *("onnxruntime/tools", "onnxruntime/transformers"),
    "flatbuffers*",  # what those tools need
    *("numpy/_core/_simd*", "numpy/_core/*_tests.*", "numpy/distutils", "numpy/f2py"),
    *("numpy/fft", "numpy/ma", "numpy/polynomial"),
    # Pillow reads and writes PNG here, and draws no text.
    *("PIL/_avif*", "PIL/_imagingcms*", "PIL/_imagingft*", "PIL/_webp*"),
    *("PIL/[!P]*ImagePlugin.py", "PIL/P[!n]*ImagePlugin.py", "PIL/ImageFont.py"),
    "safetensors*",  # for checkpoints, which need torch
    # Of OpenTelemetry only traces leave here.
    *("google/[!_p]*", "googleapis*", "opentelemetry/sdk/_logs", "opentelemetry/sdk/metrics"),
    "opentelemetry/semconv/_incubating/attributes/[!_o]*",
    *("simdjson/*.cpp", "simdjson/*.h"),
)
USER: Final = 65532  # by convention "nonroot"; owns nothing but the folders that it may write
OWNED: Final = ("models", "home/nonroot")


def build(packages: Path, root: Path) -> None:
    """Fill ``root``, which must not exist, from this system and a folder of installed packages."""
    copy_without(UNUSED_STDLIB, STDLIB, root / STDLIB.relative_to("/"))
    copy_without(UNUSED_PACKAGES, packages, root / STDLIB.relative_to("/") / "site-packages")
    _copy_interpreter(root)
    strip(root)
    prune(root)
    libraries = [each for each in loaded_by(binaries(root)) if not each.is_relative_to(root)]
    for library in libraries:
        _copy(library, root)
    for package in sorted(set(map(_owner, libraries)) - {""}):
        _register(package, root)
    _configure(root)


def copy_without(unused: Sequence[str], source: Path, destination: Path) -> None:
    """Copy a tree but for what matches a pattern, by its path below ``source``.

    What Python compiled goes the way of what it was compiled from.
    """

    def ignore(directory: str, names: list[str]) -> list[str]:
        below = Path(directory).relative_to(source)
        paths = {name: _source((below / name).as_posix()) for name in names}
        return [name for name in names if any(fnmatch(paths[name], each) for each in unused)]

    shutil.copytree(source, destination, symlinks=True, ignore=ignore)


def _source(path: str) -> str:
    return source_from_cache(path) if path.endswith(".pyc") else path


def _copy_interpreter(root: Path) -> None:
    python = Path(sys.executable).resolve()
    _copy(python, root)
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to(python.name)


def _copy(file: Path, root: Path) -> None:
    destination = root / file.relative_to("/")
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, destination)


def _owner(library: Path) -> str:
    """The Debian package that a file is of, or nothing: of Python's own there is none."""
    for spelling in (library, Path("/usr") / library.relative_to("/")):  # /lib leads to /usr/lib
        if found := output("dpkg-query", "--search", str(spelling), check=False):
            return found.partition(":")[0]
    return ""


def _register(package: str, root: Path) -> None:
    """Say where scanners look that this package, or a part of it, is here; and its licence."""
    status = root / "var/lib/dpkg/status.d" / package
    status.parent.mkdir(parents=True, exist_ok=True)
    status.write_text(output("dpkg-query", "--status", package))
    licence = Path("/usr/share/doc") / package / "copyright"
    if licence.exists():
        _copy(licence, root)


def _configure(root: Path) -> None:
    """The files of /etc, the folders that may be written, and the linker's index."""
    etc = root / "etc"
    etc.mkdir()
    (etc / "passwd").write_text(f"nonroot:x:{USER}:{USER}:nonroot:/home/nonroot:/none\n")
    (etc / "group").write_text(f"nonroot:x:{USER}:\n")
    (etc / "ld.so.conf").write_text("/usr/local/lib\n")
    for folder in OWNED:
        (root / folder).mkdir(parents=True)
        os.chown(root / folder, USER, USER)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    output("ldconfig", "-r", str(root))


if __name__ == "__main__":
    build(*map(Path, sys.argv[1:]))
