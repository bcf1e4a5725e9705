"""The service counts on no clock that somebody may set."""

import ast

from tests.servers import ROOT

SET_BY_PEOPLE = {"time", "time_ns", "now", "utcnow", "today", "ctime", "localtime", "gmtime"}


def test_only_monotonic_clocks_are_read() -> None:
    read = {}
    for path in sorted((ROOT / "service").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                clock = node.value.id in ("time", "datetime", "date")
                if clock and node.attr in SET_BY_PEOPLE:
                    read[path.name, node.lineno] = node.attr
    assert read == {}
