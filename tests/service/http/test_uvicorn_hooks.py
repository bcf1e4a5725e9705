"""Parts of uvicorn that are not documented and that the connection and the server use."""

import ast
import inspect
from pathlib import Path

from uvicorn import Server
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.http.connection import Connection
from tests.servers import ROOT

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


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
    found = {each.name for each in ast.walk(node) if isinstance(each, FUNCTIONS)}
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store):
            found.add(each.attr)
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            found.add(each.target.id)
    return found


def of_uvicorn(kind: type) -> set[str]:
    (node,) = ast.parse(inspect.getsource(kind)).body
    return set(dir(kind)) | names_of_self(node)


def test_the_cycle_of_uvicorn_takes_what_the_connection_gives() -> None:
    given = {
        *("self", "scope", "transport", "flow", "logger", "access_logger", "access_log"),
        *("default_headers", "message_event", "expect_100_continue", "keep_alive", "on_response"),
    }
    assert set(inspect.signature(RequestResponseCycle.__init__).parameters) == given
    used = {"body", "more_body", "message_event", "disconnected", "response_started", "keep_alive"}
    assert used <= of_uvicorn(RequestResponseCycle)
    assert {"read_paused", "write_paused"} <= of_uvicorn(FlowControl)
    assert {"connections", "tasks", "total_requests", "default_headers"} <= set(vars(ServerState()))


def test_uvicorn_makes_a_connection_as_its_own_protocols() -> None:
    theirs = inspect.signature(HttpToolsProtocol.__init__).parameters
    ours = inspect.signature(Connection.__init__).parameters
    assert list(ours)[: len(theirs)] == list(theirs)


def test_the_server_uses_only_what_uvicorn_has() -> None:
    ours = class_of(ROOT / "service/server.py", "Server")
    theirs = of_uvicorn(Server)
    assert names_of_super(ours) - theirs == set()
    assert names_of_self(ours) - defined(ours) - theirs == set()
