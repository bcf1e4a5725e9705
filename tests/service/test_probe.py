"""The health check of a container, against a real server and against none."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.probe import is_ready
from tests.fakes import write_fake_bundle
from tests.servers import ROOT, command, free_port, serving


def test_ready_is_what_the_service_says(tmp_path: Path) -> None:
    write_fake_bundle(tmp_path)
    with serving(tmp_path, "--runtime", "tests.fakes:FakeRuntime") as server:
        assert is_ready({"VAE_PORT": str(server.port)})
    assert not is_ready({"VAE_PORT": str(server.port)})


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
@pytest.mark.parametrize("host", ["::", ""])
def test_the_service_is_found_on_every_address_that_it_may_listen_on(
    tmp_path: Path, host: str
) -> None:
    write_fake_bundle(tmp_path)
    port = free_port()
    fake = ("--runtime", "tests.fakes:FakeRuntime")
    process = command("--models", str(tmp_path), "--host", host, "--port", str(port), *fake)
    try:
        deadline = time.monotonic() + 30
        while not is_ready({"VAE_HOST": host, "VAE_PORT": str(port)}):
            assert time.monotonic() < deadline
            assert process.poll() is None
    finally:
        process.kill()
        output, _ = process.communicate()
    assert f"will serve on http://{'[::]' if host else ''}:{port}\n" in output


def test_a_variable_that_kubernetes_set_is_not_the_port() -> None:
    assert not is_ready({"VAE_PORT": "tcp://10.0.0.1:80", "VAE_HOST": "127.0.0.2"})


def test_the_exit_status_says_it_to_docker() -> None:
    command = [sys.executable, "-m", "service.probe"]
    environment = os.environ | {"VAE_PORT": str(free_port())}
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 1
