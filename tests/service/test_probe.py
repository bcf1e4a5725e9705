"""The health check of a container, against a real server and against none."""

import os
import subprocess
import sys
from pathlib import Path

from service.probe import is_ready
from tests.fakes import write_fake_bundle
from tests.servers import ROOT, free_port, serving


def test_ready_is_what_the_service_says(tmp_path: Path) -> None:
    write_fake_bundle(tmp_path)
    with serving(tmp_path, "--runtime", "tests.fakes:FakeRuntime") as server:
        assert is_ready({"VAE_PORT": str(server.port)})
    assert not is_ready({"VAE_PORT": str(server.port)})


def test_the_exit_status_says_it_to_docker() -> None:
    command = [sys.executable, "-m", "service.probe"]
    environment = os.environ | {"VAE_PORT": str(free_port())}
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 1
