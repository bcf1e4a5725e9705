"""The connection class overrides and calls methods of uvicorn that are not documented."""

import ast
import inspect
from pathlib import Path

from uvicorn import Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tests.servers import ROOT


def class_of(path: Path, name: str) -> ast.ClassDef:
    tree = ast.parse(path.read_text())
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return found


def names_of_self(node: ast.AST) -> set[str]:
    return {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and isinstance(each.value, ast.Name)
        and each.value.id == "self"
    }


def names_of_super(node: ast.AST) -> set[str]:
    return {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and isinstance(each.value, ast.Call)
        and isinstance(each.value.func, ast.Name)
        and each.value.func.id == "super"
    }


def defined(node: ast.ClassDef) -> set[str]:
    """The methods of a class, and what it assigns in its body or to ``self``."""
    found = {each.name for each in ast.walk(node) if isinstance(each, ast.FunctionDef)}
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store):
            found.add(each.attr)
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            found.add(each.target.id)
    return found


def of_uvicorn(kind: type) -> set[str]:
    (node,) = ast.parse(inspect.getsource(kind)).body
    return set(dir(kind)) | names_of_self(node)


def test_the_connection_uses_only_what_uvicorn_has() -> None:
    ours = class_of(ROOT / "service/http/connection.py", "Connection")
    theirs = of_uvicorn(HttpToolsProtocol)
    assert names_of_super(ours) - theirs == set()
    assert names_of_self(ours) - defined(ours) - theirs == set()


def test_the_server_uses_only_what_uvicorn_has() -> None:
    ours = class_of(ROOT / "service/server.py", "Server")
    theirs = of_uvicorn(Server)
    assert names_of_super(ours) - theirs == set()
    assert names_of_self(ours) - defined(ours) - theirs == set()


def test_uvicorn_calls_the_methods_that_the_connection_overrides() -> None:
    """An override that uvicorn no longer calls would be without effect."""
    ours = class_of(ROOT / "service/http/connection.py", "Connection")
    called = of_uvicorn(HttpToolsProtocol) | of_uvicorn(RequestResponseCycle)
    private = {"_start_asgi_task", "_unset_keepalive_if_required", "on_response_complete"}
    assert private & defined(ours) - called == set()
