"""The direction of imports: service → vae ← training, and the client imports none of them."""

import ast
import subprocess
import sys
import tomllib
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

IN_TRAINING = {
    "system": set(),
    "config": set(),
    "objectives": {"config"},
    "data": {"config", "system"},
    "model": {"config", "data", "system"},
    "evaluation": {"data", "objectives", "system"},
    "loop": {"config", "data", "evaluation", "model", "objectives", "system"},
    "loggers": {"config", "evaluation", "loop", "system"},
    "report": {"config", "data", "evaluation", "loop", "system"},
    "export": {"config", "data", "evaluation", "loop", "report", "system"},
    "commands": {
        "config",
        "data",
        "evaluation",
        "export",
        "loggers",
        "loop",
        "model",
        "system",
    },
}
"""What each folder of training may import of the others."""

NO_TORCH = (
    "vae/bundle.py",
    "vae/graphs.py",
    "vae/relative_error.py",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "vae/manifest").glob("*.py"))),
)
PUBLIC_API = (ROOT / "vae/manifest/__init__.py",)
"""The packages whose ``__init__`` re-exports names; all others are empty."""


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


@pytest.mark.parametrize(
    ("package", "layers"), [("service", IN_SERVICE), ("training", IN_TRAINING)]
)
def test_folders_are_layers(package: str, layers: dict[str, set[str]]) -> None:
    folders = {path.parent.name for path in modules(package)} - {package}
    assert folders == layers.keys()
    for path in modules(package):
        if path.parent.name in folders:
            ours = {edge for edge in _edges(path) if edge.is_relative_to(ROOT / package)}
            found = {edge.parent.name for edge in ours} - {path.parent.name}
            assert found <= layers[path.parent.name] | {package}, path


def test_no_class_of_training_has_the_name_of_another() -> None:
    packages = [path for package in ("vae", "training", "service") for path in modules(package)]
    places: dict[str, list[Path]] = {}
    for path in packages:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(path)
    twice = {name: paths for name, paths in places.items() if len(paths) > 1}
    ours = {
        name
        for name, paths in twice.items()
        if any(path.is_relative_to(ROOT / "training") for path in paths)
    }
    assert not ours


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
    assert importing == [ROOT / "vae/onnxruntime_no_telemetry.py"]


def test_the_client_needs_httpx_numpy_and_safetensors_alone() -> None:
    third_party = set().union(*(imported(path) for path in modules("client"))) - {"vae_client"}
    assert third_party - set(sys.stdlib_module_names) == {"httpx", "numpy", "safetensors"}


@pytest.mark.parametrize("package", ["service", "training", "vae"])
def test_packages_are_empty_at_import(package: str) -> None:
    for path in (ROOT / package).rglob("__init__.py"):
        if path not in PUBLIC_API:
            assert path.read_text() == "", path


@pytest.mark.parametrize("path", PUBLIC_API, ids=lambda path: path.parent.name)
def test_a_public_api_only_re_exports_its_own_modules(path: Path) -> None:
    docstring, *imports, names = ast.parse(path.read_text()).body
    package = ".".join(path.parent.relative_to(ROOT).parts)
    assert isinstance(docstring, ast.Expr)
    exported: list[str] = []
    for node in imports:
        assert isinstance(node, ast.ImportFrom)
        assert node.module
        assert node.module.startswith(f"{package}.")
        exported += (alias.name for alias in node.names)
    assert isinstance(names, ast.Assign)
    assert ast.literal_eval(names.value) == sorted(exported, key=_all_order)


def _all_order(name: str) -> tuple[int, str]:
    """Constants, then classes: the order in which ruff sorts ``__all__``."""
    return (0 if name.isupper() else 1, name)


def test_every_package_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in ("service", "training", "vae")
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert set(project["tool"]["setuptools"]["packages"]) == packages


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
    edges: set[Path | None] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            edges |= {_module_file(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:  # a module of the package, or a name in it
                edges.add(_module_file(f"{node.module}.{alias.name}") or _module_file(node.module))
    return {edge for edge in edges if edge} - {path}


def _module_file(name: str) -> Path | None:
    base = ROOT / "client" if name.startswith("vae_client") else ROOT
    module = base / name.replace(".", "/")
    files = (module.with_suffix(".py"), module / "__init__.py")
    return next((file for file in files if file.exists()), None)
