"""The images: small, hardened, with whole packages, and with all that the service needs."""

import json
import re
import shutil
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.docker.engine import build, docker, health, inspect, logs, wait_until
from tests.servers import ROOT, free_port
from tests.service.telemetry.test_tracing import collecting
from vae.bundle import open_bundle

pytestmark = pytest.mark.docker

MAX_BYTES = 260e6
BASE = "python:3.11-slim-bookworm"
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--memory", "512m"),
)
PLUGINS = ROOT / "tests/docker/plugins"
UNUSED_BY_THE_SERVICE = (
    *("numpy.fft", "numpy.ma", "numpy.polynomial", "numpy.testing", "numpy.f2py", "safetensors"),
    *("PIL.AvifImagePlugin", "PIL.ImageFont", "PIL._avif", "PIL._imagingcms", "PIL._webp"),
    *("asyncio", "bz2", "ctypes", "curses", "dbm", "decimal", "doctest", "encodings.cp1252"),
    *("ftplib", "lzma", "mailbox", "optparse", "pdb", "pickletools", "pydoc", "readline"),
    *("smtplib", "sqlite3", "ssl", "unittest.mock", "uuid", "venv", "xmlrpc.client", "zlib"),
)


@pytest.fixture(scope="module")
def image() -> str:
    return build("service", "vae-server:service")


@pytest.fixture(scope="module")
def models(digits_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models that every user can read, as a volume would be."""
    root = tmp_path_factory.mktemp("volume") / "models"
    shutil.copytree(digits_bundle.parents[1], root)
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return root


@contextmanager
def healthy(image: str, models: Path, *options: str) -> Iterator[str]:
    """The name of a hardened container that serves ``models`` and has become healthy."""
    mount = f"{models}:/models:ro"
    name = docker("run", "--detach", *HARDENED, "--volume", mount, *options, image)
    try:
        wait_until(lambda: health(name) != "starting", 60, "the end of the container's start")
        assert health(name) == "healthy", logs(name)
        yield name
    finally:
        docker("rm", "--force", name)


@pytest.fixture(scope="module")
def container(image: str, models: Path) -> Iterator[str]:
    """A container with two workers."""
    options = ("--publish", "127.0.0.1::8000", "--env", "VAE_WORKERS=2")
    with healthy(image, models, *options) as name:
        yield name


@pytest.fixture(scope="module")
def url(container: str) -> str:
    return url_of(container)


def url_of(container: str) -> str:
    return f"http://{docker('port', container, '8000')}"


def run_python(container: str, code: str) -> str:
    return docker("exec", container, "python", "-c", code)


def test_the_image_is_small(image: str) -> None:
    assert inspect(image)["Size"] <= MAX_BYTES


@pytest.mark.parametrize(
    ("target", "title"), [("service", "vae-server"), ("training", "vae-server-training")]
)
def test_an_image_says_what_it_is(target: str, title: str) -> None:
    tag = f"vae-server:{target}"
    docker("build", "--quiet", "--target", target, "--tag", tag, "--build-arg", "REVISION=a1", ".")
    config = inspect(tag)["Config"]
    assert config["User"] == "65532:65532"
    labels = {name.rpartition(".")[2]: value for name, value in config["Labels"].items()}
    assert (labels["title"], labels["revision"]) == (title, "a1")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (labels["version"], labels["licenses"]) == (project["version"], project["license"])


def test_the_image_asks_the_service_for_its_health(image: str) -> None:
    check = inspect(image)["Config"]["Healthcheck"]
    assert check["Test"] == ["CMD", "python", "-m", "service.probe"]


def test_it_holds_no_installer_and_no_training(container: str) -> None:
    code = """
import importlib.util, shutil
modules = ("torch", "pip", "setuptools", "training")
print([*filter(importlib.util.find_spec, modules), *filter(shutil.which, ("pip", "pip3", "gcc"))])
"""
    assert run_python(container, code) == "[]"


def test_it_holds_no_tests_and_no_sources_of_c(container: str) -> None:
    code = """
from pathlib import Path
unused = ("tests", "*.h", "*.cpp", "libonnxruntime.so.*")
print([str(path) for pattern in unused for path in Path("/venv").rglob(pattern)])
"""
    assert run_python(container, code) == "[]"


def test_the_standard_library_is_whole(image: str) -> None:
    code = """
import sysconfig
from pathlib import Path
root = Path(sysconfig.get_path("stdlib"))
files = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
print(*sorted(str(path) for path in files
              if not {"site-packages", "__pycache__"} & set(path.parts)), sep="\\n")
"""
    found, expected = (
        set(docker("run", "--rm", "--entrypoint", "python", name, "-c", code).splitlines())
        for name in (image, BASE)
    )
    assert len(expected) > 500
    assert found == expected


def test_every_package_is_whole(container: str) -> None:
    code = """
from importlib.metadata import distributions
modules = [path for found in distributions() for path in found.files
           if path.suffix in (".py", ".so") and not {"tests", "training"} & set(path.parts)]
print(len(modules), [str(path) for path in modules if not path.locate().exists()])
"""
    count, missing = run_python(container, code).split(maxsplit=1)
    assert int(count) > 1500
    assert missing == "[]"


@pytest.mark.parametrize("module", UNUSED_BY_THE_SERVICE)
def test_a_module_that_the_service_does_not_use_can_be_imported(
    container: str, module: str
) -> None:
    run_python(container, f"import {module}")


def test_a_runtime_of_the_user_is_mounted_and_serves(
    image: str, models: Path, digits_bundle: Path
) -> None:
    options = (
        *("--volume", f"{PLUGINS}:/plugins:ro", "--env", "PYTHONPATH=/plugins"),
        *("--env", "VAE_RUNTIME=spectral:SpectralRuntime", "--publish", "127.0.0.1::8000"),
    )
    golden = open_bundle(digits_bundle).arrays("golden.npz", "x", "mu")
    with healthy(image, models, *options) as name:
        body = {"inputs": golden["x"].tolist()}
        reply = httpx.post(f"{url_of(name)}/encode", json=body)
        assert reply.status_code == 200, reply.text
        assert np.allclose(reply.json()["mu"], golden["mu"], atol=1e-4)
        assert "spectral runtime, Pdb, SQLite 3" in logs(name)


def test_it_runs_with_no_right_that_it_does_not_need(container: str) -> None:
    status = run_python(container, "print(open('/proc/1/status').read())")
    assert re.search(r"^Uid:\t65532\t65532", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    for path in ("/models/x", "/venv/x", "x"):
        with pytest.raises(AssertionError, match="Read-only file system"):
            run_python(container, f"import pathlib; pathlib.Path('{path}').write_text('')")


@pytest.mark.parametrize(
    "accept",
    ["application/json", "application/x-npy", "application/x-safetensors", "image/png"],
)
def test_every_format_is_answered(url: str, accept: str) -> None:
    drawn = httpx.post(f"{url}/sample?seed=1", headers={"Accept": accept})
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, accept)


def test_the_rest_is_answered(url: str) -> None:
    picture = httpx.post(f"{url}/sample?seed=1", headers={"Accept": "image/png"}).content
    for verb in ("encode", "reconstruct", "score"):
        reply = httpx.post(f"{url}/{verb}", content=picture, headers={"Content-Type": "image/png"})
        assert reply.status_code == 200, reply.text
    for path in ("/", "/docs", "/openapi.json", "/models", "/metrics", "/static/main.js"):
        assert httpx.get(f"{url}{path}").status_code == 200, path
    for body in (b"\xff", b"[" * 9999, b'{"inputs": [[NaN]]}'):
        assert 400 <= httpx.post(f"{url}/encode", content=body).status_code < 500


def test_it_logs_no_warning(container: str) -> None:
    assert not re.search(r"\bWARN|\bERROR|\[W:|\[E:|Traceback", logs(container))


def test_spans_reach_a_collector(image: str, models: Path) -> None:
    with collecting() as collector:
        options = (
            *("--network", "host", "--env", f"VAE_PORT={(port := free_port())}"),
            *("--env", f"VAE_OTLP_ENDPOINT={collector.url}"),
        )
        with healthy(image, models, *options) as name:
            assert httpx.post(f"http://127.0.0.1:{port}/sample?seed=1").status_code == 200
            docker("stop", name)  # the service sends the remaining spans when it stops
            assert inspect(name)["State"]["ExitCode"] == 0, logs(name)
    assert b"sample" in b"".join(collector.heard)


def test_the_sbom_lists_the_installed_packages_with_their_pinned_versions(container: str) -> None:
    sbom = json.loads(run_python(container, "print(open('/sbom.cdx.json').read())"))
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    assert sbom["metadata"]["component"]["name"] == "vae-server"
    listed = {component["name"]: component["version"] for component in sbom["components"]}
    code = """
import json
from importlib.metadata import distributions
print(json.dumps({found.name: found.version for found in distributions()}))
"""
    installed = json.loads(run_python(container, code))
    del installed["vae-server"]
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(normal(pin).split("==") for pin in pins if "==" in pin)
    assert {normal(name) for name in listed} == {normal(name) for name in installed}
    assert {name: pinned[normal(name)] for name in listed} == listed


def normal(name: str) -> str:
    """The spelling of a package's name by which the index compares names."""
    return re.sub(r"[-_]", "-", name).lower()


def test_scanners_find_the_packages_of_debian(container: str) -> None:
    status = run_python(container, "print(open('/var/lib/dpkg/status').read())")
    assert re.search(r"^Package: libc6\nStatus: install ok installed$", status, re.MULTILINE)


def test_a_stop_is_a_clean_end(container: str) -> None:
    """The last test of this container."""
    began = time.monotonic()
    docker("stop", container)
    state: dict[str, Any] = inspect(container)["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    assert time.monotonic() - began < 10  # Docker kills what does not end, with status 137
    assert "Traceback" not in logs(container)
