"""Installs the rows that need packages of their own, each into a virtual environment."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.rows import COMMON, Row, read_rows


def install(names: Sequence[str], venvs: Path) -> None:
    """Install the rows of these names, by default all; replaces what is there.

    Raises BenchError for an unknown name or if pip fails.
    """
    rows = {name: row for name, row in read_rows().items() if row.requires}
    if unknown := [name for name in names if name not in rows]:
        raise BenchError(f"nothing to install for {', '.join(unknown)}; known: {', '.join(rows)}")
    for name in names or rows:
        _install(rows[name], venvs / name)


def _install(row: Row, venv: Path) -> None:
    sys.stderr.write(f"installing {row.name} into {venv}\n")
    shutil.rmtree(venv, ignore_errors=True)
    try:
        _run([sys.executable, "-m", "venv", str(venv)])
        # Some of the packages import pkg_resources, which later versions of setuptools lack.
        _run([str(venv / "bin/pip"), "install", "-q", "setuptools<81", *COMMON, *row.requires])
    except BenchError:
        shutil.rmtree(venv, ignore_errors=True)  # or the row would count as installed
        raise


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        shown = " ".join(command)
        raise BenchError(f"{shown} failed:\n{(done.stderr or done.stdout).strip()[-1000:]}")
