"""The service counts on no clock that somebody may set."""

import ast
from pathlib import Path

from tests.servers import ROOT

SET_BY_PEOPLE = {"time", "time_ns", "now", "utcnow", "today", "ctime", "localtime", "gmtime"}
SAYS_WHEN = {"logging.py", "tracing.py"}  # to who reads them; nothing is decided by it


def readings(path: Path) -> list[str]:
    """Where a file reads the wall clock."""
    return [
        f"{path.name}:{node.lineno} {node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("time", "datetime", "date")
        and node.attr in SET_BY_PEOPLE
    ]


def test_only_monotonic_clocks_are_read() -> None:
    files = sorted((ROOT / "service").rglob("*.py"))
    assert [found for path in files if path.name not in SAYS_WHEN for found in readings(path)] == []
