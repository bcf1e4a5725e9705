"""Public names use the words of the field, and each class has a name of its own."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.servers import ROOT

PACKAGES = ("vae", "training", "service", "client/vae_client")
METAPHORS = {
    *("keeper", "steward", "shelf", "guest", "witness", "errand", "passage", "visit", "fleet"),
    *("recruit", "follower", "patience", "reception", "door", "departure", "neighbour", "told"),
    *("settled", "home", "lane", "ring", "prey", "outlet", "tally", "pace"),
}
"""Words that would have to be explained; docs/glossary.md has those that the project uses."""


def public_names(path: Path) -> set[str]:
    """The classes, functions and methods of a file that do not begin with an underscore."""
    found = {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return {name for name in found if not name.startswith("_")}


def words(name: str) -> set[str]:
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_need_no_explanation(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for name in {*public_names(path), path.stem}:
            assert not words(name) & METAPHORS, f"{path.relative_to(ROOT)}: {name}"


@pytest.mark.parametrize("package", ["vae", "service"])
def test_no_two_classes_have_one_name(package: str) -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_the_glossary_explains_the_main_parts() -> None:
    text = (ROOT / "docs/glossary.md").read_text()
    terms = {
        term.strip()
        for row in re.findall(r"^\| ([^|]+?) \|", text, re.M)
        for term in row.split(",")
    }
    assert {"batcher", "bundle", "inference", "loader", "manager", "registry", "runtime"} <= terms
