"""The direction of imports: service → vae ← training, and the client imports none of them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "vae": {"vae"},
    "training": {"training", "vae"},
    "service": {"service", "vae"},
    "client": {"vae_client"},
}
OURS = {"vae", "training", "service", "vae_client", "tests", "bench", "deploy"}
IN_SERVICE = {
    "batching": set(),
    "runtimes": set(),
    "wire": set(),
    "telemetry": {"batching"},
    "models": {"batching", "runtimes", "telemetry", "wire"},
    "http": {"batching", "models", "telemetry", "wire"},
    "routes": {"batching", "http", "models", "telemetry", "wire"},
    "workers": {"models", "runtimes", "telemetry"},
}
"""What each folder of the service may import of the others."""

BELOW_THE_FOLDERS = {"arrays", "environment", "errors", "keys", "settings", "stop_timeout"}
"""The files of the service that every folder may import; they import none of the folders."""

NO_TORCH = ("vae/bundle.py", "vae/graphs.py", "vae/manifest.py", "vae/parity.py")


def imported(path: Path) -> set[str]:
    """The top-level names that a file imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_arrows_between_packages(package: str) -> None:
    assert modules(package)
    for path in modules(package):
        assert imported(path) & OURS <= ALLOWED[package], path


def test_arrows_within_the_service() -> None:
    folders = {path.parent.name for path in modules("service")} - {"service"}
    assert folders == IN_SERVICE.keys()
    for path in modules("service"):
        if path.parent.name in folders:
            found = {target.parent.name for target in _edges(path)} & folders
            assert found - {path.parent.name} <= IN_SERVICE[path.parent.name], path


def test_the_files_below_the_folders_import_only_each_other() -> None:
    for name in BELOW_THE_FOLDERS:
        targets = {path for path in _edges(ROOT / f"service/{name}.py") if "service" in path.parts}
        assert targets <= {ROOT / f"service/{below}.py" for below in BELOW_THE_FOLDERS}, name


def test_the_seam_needs_no_torch() -> None:
    for name in NO_TORCH:
        assert not imported(ROOT / name) & {"torch", "onnxruntime"}, name


def test_importing_the_app_loads_no_engine() -> None:
    code = "import sys, service.app; print({'torch', 'onnxruntime'} & sys.modules.keys())"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "set()"


def test_onnxruntime_comes_from_the_one_place_that_silences_it() -> None:
    files = [path for package in (*ALLOWED, "bench", "tests") for path in modules(package)]
    importing = [path for path in files if "onnxruntime" in imported(path)]
    assert importing == [ROOT / "vae/engine.py"]


def test_the_client_needs_httpx_and_numpy_alone() -> None:
    third_party = set().union(*(imported(path) for path in modules("client"))) - {"vae_client"}
    assert third_party - set(sys.stdlib_module_names) == {"httpx", "numpy"}


@pytest.mark.parametrize("package", ["service", "training", "vae"])
def test_packages_are_empty_at_import(package: str) -> None:
    for path in (ROOT / package).rglob("__init__.py"):
        assert path.read_text() == "", path


def test_there_are_no_cycles() -> None:
    graph = {path: _edges(path) for package in ALLOWED for path in modules(package)}
    done: set[Path] = set()

    def visit(path: Path, trail: tuple[Path, ...]) -> None:
        assert path not in trail, " → ".join(str(p.relative_to(ROOT)) for p in (*trail, path))
        if path not in done:
            for target in graph.get(path, ()):
                visit(target, (*trail, path))
            done.add(path)

    for path in graph:
        visit(path, ())


def _edges(path: Path) -> set[Path]:
    """The files of ours that a file imports when it is imported."""
    edges = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            base = ROOT / "client" if name.startswith("vae_client") else ROOT
            candidate = (base / name.replace(".", "/")).with_suffix(".py")
            if candidate.exists() and candidate != path:
                edges.add(candidate)
    return edges
