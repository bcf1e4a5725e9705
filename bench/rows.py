"""The rows of the table, read from ``rows.toml``."""

import sys
import tomllib
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from bench.errors import BenchError

FILE: Final = Path(__file__).parent / "rows.toml"
COMMON: Final = ("numpy", "onnxruntime==1.31.1")
"""What every virtual environment gets: the onnxruntime of ``constraints.txt``, as ours has it."""


class Operation(BaseModel):
    """Where a verb is, and the formats of its request and its reply (see ``formats.py``)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    body: str
    reply: str


class Row(BaseModel):
    """A server; ``rows.toml`` describes the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    operations: dict[str, Operation]
    command: tuple[str, ...]
    requires: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    port: int | None = None
    note: str = ""
    ceiling: bool = False
    one_operation: bool = False

    def programs(self, venvs: Path) -> Path:
        """The directory of the programs of its virtual environment."""
        return venvs / self.name / "bin" if self.requires else Path(sys.executable).parent

    def installed(self, venvs: Path) -> bool:
        """Whether its virtual environment exists."""
        return (self.programs(venvs) / "python").exists()


def read_rows(file: Path = FILE) -> dict[str, Row]:
    """All rows by name, in the order of the file."""
    content = tomllib.loads(file.read_text())
    apis = content["apis"]
    return {
        name: Row(name=name, operations=apis[row.pop("api")], **row)
        for name, row in content["rows"].items()
    }


def select_rows(names: str | None, venvs: Path) -> list[Row]:
    """The rows of a list such as ``ours,mosec``; by default all that are installed.

    Raises BenchError if a row is unknown or not installed.
    """
    rows = read_rows()
    if names is None:
        return [row for row in rows.values() if row.installed(venvs)]
    wanted = names.split(",")
    if unknown := [name for name in wanted if name not in rows]:
        raise BenchError(f"unknown row {', '.join(unknown)}; known: {', '.join(rows)}")
    if missing := [name for name in wanted if not rows[name].installed(venvs)]:
        raise BenchError(
            f"not installed in {venvs}: {', '.join(missing)}; "
            f"run: python -m bench install {' '.join(missing)}"
        )
    return [rows[name] for name in wanted]
