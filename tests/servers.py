"""Real servers: ``python -m service`` in a process of its own, on a real socket."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Server:
    """A server that is ready, and its process."""

    url: str
    port: int
    process: subprocess.Popen[str]


def command(*arguments: str, under: Sequence[str] = ()) -> subprocess.Popen[str]:
    """``python -m service`` with these arguments, and with no setting from this environment.

    ``under`` is a program, with arguments of its own, that starts it.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VAE_")}
    return subprocess.Popen(
        [*under, sys.executable, "-m", "service", *arguments],
        cwd=ROOT,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def serving(
    models: Path,
    *arguments: str,
    verify: ssl.SSLContext | None = None,
    under: Sequence[str] = (),
) -> Iterator[Server]:
    """A ready server of these models, by TLS if ``verify`` is given; killed if it still runs."""
    port = free_port()
    process = command("--models", str(models), "--port", str(port), *arguments, under=under)
    server = Server(f"http{'s' if verify else ''}://127.0.0.1:{port}", port, process)
    try:
        _wait_until_ready(server, verify)
        yield server
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    """A TCP port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def can_mount() -> bool:
    """Whether this user may mount a file system in a namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    mount = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


def resident(process: int) -> list[int]:
    """Bytes of the process, or of each of its workers."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    statuses = [Path(f"/proc/{each}/status").read_text() for each in children or [process]]
    return [int(found[1]) * 1024 for s in statuses if (found := re.search(r"VmRSS:\s+(\d+)", s))]


def _wait_until_ready(server: Server, verify: ssl.SSLContext | None) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            assert server.process.stdout is not None
            raise AssertionError(f"the server ended: {server.process.stdout.read()}")
        try:
            if httpx.get(f"{server.url}/health/ready", verify=verify or True).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the server is not ready after a minute")
