"""The service's image: small, closed, and with everything that the service needs."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docker.engine import build, docker, health, inspect, logs, wait_until
from tests.servers import ROOT, free_port
from tests.service.telemetry.test_tracing import collecting

pytestmark = pytest.mark.docker

HARDENED = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--memory", "512m"),
)


@pytest.fixture(scope="module")
def image() -> str:
    return build("service", "vae-server:service")


@pytest.fixture(scope="module")
def models(digits_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Readable for everybody, as a volume would be."""
    root = tmp_path_factory.mktemp("volume") / "models"
    shutil.copytree(digits_bundle.parents[1], root)
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return root


@pytest.fixture(scope="module")
def container(image: str, models: Path) -> Iterator[str]:
    """The hardened container of two workers, healthy."""
    mount = f"{models}:/models:ro"
    name = docker(
        *("run", "--detach", *HARDENED, "--volume", mount, "--publish", "127.0.0.1::8000"),
        *("--env", "VAE_WORKERS=2", image),
    )
    try:
        wait_until(lambda: health(name) == "healthy", 30, "a healthy container")
        yield name
    finally:
        docker("rm", "--force", name)


@pytest.fixture(scope="module")
def url(container: str) -> str:
    return f"http://{docker('port', container, '8000')}"


def run_python(container: str, code: str) -> str:
    return docker("exec", container, "python", "-c", code)


def test_the_image_is_small_and_says_what_it_is(image: str) -> None:
    found = inspect(image)
    assert found["Size"] < 150e6
    assert found["Config"]["User"] == "65532:65532"
    assert found["Config"]["Healthcheck"]["Test"][0] == "CMD"
    labels = found["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "vae-server"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_nothing_is_in_it_that_the_service_does_not_need(container: str) -> None:
    code = """
import importlib.util, os
programs = [name for folder in os.get_exec_path() for name in os.listdir(folder)]
modules = [m for m in ("torch", "pip", "setuptools", "training") if importlib.util.find_spec(m)]
print(programs, modules)
"""
    found = run_python(container, code)
    assert re.fullmatch(r"\[('python[\d.]*'(, )?)+\] \[\]", found), found


def test_it_runs_with_no_right_that_it_does_not_need(container: str) -> None:
    status = run_python(container, "print(open('/proc/1/status').read())")
    assert re.search(r"^Uid:\t65532\t65532", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    code = "import pathlib; pathlib.Path('/models/x').write_text('')"
    with pytest.raises(AssertionError, match="Read-only file system"):
        run_python(container, code)


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
    log = logs(container)
    assert "serves as process" in log
    assert not re.search(r"\bWARN|\bERROR|\[W:|\[E:|Traceback", log), log


def test_spans_reach_a_collector(image: str, models: Path) -> None:
    mount = f"{models}:/models:ro"
    with collecting() as collector:
        port = free_port()
        name = docker(
            *("run", "--detach", *HARDENED, "--network", "host", "--volume", mount),
            *("--env", f"VAE_PORT={port}", "--env", f"VAE_OTLP_ENDPOINT={collector.url}", image),
        )
        try:
            wait_until(lambda: health(name) == "healthy", 30, "a healthy container")
            assert httpx.post(f"http://127.0.0.1:{port}/sample?seed=1").status_code == 200
            docker("stop", name)  # what was not sent yet is sent at the end
            assert inspect(name)["State"]["ExitCode"] == 0, logs(name)
        finally:
            docker("rm", "--force", name)
    assert b"sample" in b"".join(collector.heard)


def test_the_sbom_names_what_is_pinned(container: str) -> None:
    sbom = json.loads(run_python(container, "print(open('/sbom.cdx.json').read())"))
    assert (sbom["bomFormat"], sbom["metadata"]["component"]["name"]) == ("CycloneDX", "vae-server")
    purls = {component["purl"] for component in sbom["components"]}
    pinned = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    listed = dict(re.findall(r"pkg:pypi/([^@]+)@(\S+)", " ".join(sorted(purls))))
    assert listed.keys() >= {"onnxruntime", "fastapi", "numpy"}
    assert {name: pinned.get(name) for name in listed.keys() - {"vae-server"}} == {
        name: version for name, version in listed.items() if name != "vae-server"
    }
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in purls)


def test_a_stop_is_a_clean_end(container: str) -> None:
    """The last test of this container."""
    began = time.monotonic()
    docker("stop", container)
    state: dict[str, Any] = inspect(container)["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    assert time.monotonic() - began < 10  # Docker kills what does not end, with status 137
    assert "Traceback" not in logs(container)
