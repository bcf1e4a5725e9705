"""What the tests ask of Docker, by its command line."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.servers import ROOT


def docker(*arguments: str, **variables: str) -> str:
    """What ``docker`` prints; an AssertionError with all of it when that fails."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def build(target: str, tag: str) -> str:
    """Build a stage of the Dockerfile; the image's tag."""
    docker("build", "--quiet", "--target", target, "--tag", tag, ".")
    return tag


def inspect(name: str) -> dict[str, Any]:
    """All that Docker knows of an image or a container."""
    found: dict[str, Any] = json.loads(docker("inspect", name))[0]
    return found


def logs(container: str) -> str:
    """What a container wrote to both of its streams."""
    return subprocess.run(
        ["docker", "logs", container],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    ).stdout


def health(container: str) -> str:
    """starting, healthy or unhealthy."""
    status: str = inspect(container)["State"]["Health"]["Status"]
    return status


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.1)


def answers(url: str) -> bool:
    """Whether a sample comes back."""
    try:
        return httpx.post(f"{url}/sample", json={"n": 1, "seed": 1}).status_code == 200
    except httpx.TransportError:
        return False
