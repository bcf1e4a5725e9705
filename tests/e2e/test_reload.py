"""Versions that come and go under a real server, of one process and of two workers."""

import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes import write_fake_bundle
from tests.servers import Server, command, free_port, serving

KEY = {"x-api-key": "k-admin"}


class Reloading:
    """A server of one model, and what it says of its versions."""

    def __init__(self, models: Path, server: Server, workers: int) -> None:
        self.models = models
        self.server = server
        self.workers = workers

    def publish(self) -> Path:
        return write_fake_bundle(self.models)

    def states(self) -> dict[int, str]:
        """What one worker says; a new connection may ask another."""
        found = httpx.get(f"{self.server.url}/models").json()["versions"]
        return {entry["version"]: entry["state"] for entry in found}

    def wait_for(self, states: dict[int, str], seconds: float = 10) -> None:
        """Until so many answers in a row say so that all workers do."""
        wait_until(lambda: all(self.states() == states for _ in range(10)), seconds)

    def admin(self, version: int, verb: str, headers: dict[str, str] = KEY) -> httpx.Response:
        url = f"{self.server.url}/models/fake/versions/{version}/{verb}"
        return httpx.post(url, headers=headers, timeout=30)

    def answers(self, path: str) -> set[Any]:
        """The statuses and models of requests that reach every worker."""
        body = {"inputs": [[1] * 20]}
        replies = [httpx.post(f"{self.server.url}{path}", json=body) for _ in range(10)]
        return {(reply.status_code, reply.headers.get("x-model")) for reply in replies}

    def metric(self, pattern: str) -> str:
        text = httpx.get(f"{self.server.url}/metrics").text
        (found,) = re.findall(rf"^{pattern} (.*)$", text, re.MULTILINE)
        return str(found)


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(params=[1, 2], ids=["one", "workers"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reloading]:
    models = tmp_path / "models"
    write_fake_bundle(models)
    options = ("--runtime", "tests.fakes:FakeRuntime", "--admin-keys", "k-admin")
    latest = ("--version-policy", "latest", "--workers", str(request.param))
    with serving(models, *options, *latest) as server:
        reloading = Reloading(models, server, request.param)
        reloading.wait_for({1: "serving"})
        yield reloading


def test_versions_come_go_and_are_refused_in_all_workers(service: Reloading) -> None:
    assert service.answers("/encode") == {(200, "fake/1")}
    service.publish()
    service.wait_for({1: "unloaded", 2: "serving"})
    assert service.answers("/encode") == {(200, "fake/2")}
    assert service.answers("/models/fake/versions/1/encode") == {(404, None)}

    bad = service.publish()
    (bad / "decoder.onnx").write_bytes(b"damaged")
    service.wait_for({1: "unloaded", 2: "serving", 3: "refused"})
    assert service.answers("/encode") == {(200, "fake/2")}
    assert service.metric(r'vae_model_load_total\{result="refused"\}') == "1.0"
    assert service.metric(r'vae_model_load_total\{result="loaded"\}') == "2.0"

    (bad / "decoder.onnx").write_bytes(b"")
    service.wait_for({1: "unloaded", 2: "unloaded", 3: "serving"})
    shutil.rmtree(bad)
    service.wait_for({1: "unloaded", 2: "serving"})
    assert service.answers("/encode") == {(200, "fake/2")}


def test_load_and_unload_are_done_everywhere_when_they_are_answered(service: Reloading) -> None:
    bad = service.publish()
    service.wait_for({1: "unloaded", 2: "serving"})
    assert service.admin(1, "load").json() == {"name": "fake", "version": 1, "state": "serving"}
    assert service.answers("/models/fake/versions/1/encode") == {(200, "fake/1")}
    assert service.admin(2, "unload").json()["state"] == "unloaded"
    assert service.answers("/encode") == {(200, "fake/1")}
    (bad / "golden.npz").write_bytes(b"damaged")
    refused = service.admin(2, "load")
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("golden.npz is damaged")
    assert service.answers("/encode") == {(200, "fake/1")}
    unknown = service.admin(9, "load")
    assert (unknown.status_code, unknown.json()["given"]) == (404, "fake/9")
    assert service.admin(1, "load", {}).status_code == 401
    assert service.admin(1, "unload", {"x-api-key": "guess"}).status_code == 401


def test_sighup_does_not_wait_until_files_have_settled(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_fake_bundle(models)
    fake = ("--runtime", "tests.fakes:FakeRuntime", "--watch-seconds", "0")
    with serving(models, *fake) as server:
        service = Reloading(models, server, 1)
        service.publish()
        time.sleep(0.7)
        assert service.states() == {1: "serving"}
        server.process.send_signal(signal.SIGHUP)
        service.wait_for({1: "serving", 2: "serving"})


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_start_refuses_what_the_runtime_cannot_run_and_serves_the_others(
    tmp_path: Path, workers: str
) -> None:
    models = tmp_path / "models"
    for name in ("bad", "fake"):
        write_fake_bundle(models, name)
    options = ("--runtime", "tests.fakes:RefusingRuntime", "--workers", workers)
    with serving(models, *options) as server:
        service = Reloading(models, server, int(workers))
        refused = {"name": "bad", "version": 1, "state": "refused"}
        reason = "this runtime does not run it"
        url = f"{server.url}/models"
        wait_until(lambda: httpx.get(url).json()["versions"][0] == {**refused, "reason": reason})
        assert service.answers("/models/fake/encode") == {(200, "fake/1")}
        assert service.answers("/encode") == {(404, None)}  # two models, so there is no default
        assert service.metric("vae_refused_versions") == "1.0"
    strict = command(*("--models", str(models), "--port", str(free_port()), "--strict", *options))
    strict.communicate(timeout=30)
    assert strict.returncode == 1
