"""A server in a process of its own, pinned to a core, and what it costs there."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.errors import BenchError
from bench.paths import BUILD, ROOT

START_SECONDS: Final = 60
STOP_SECONDS: Final = 20
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
Cores = Sequence[int]


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    name: str
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time that it and its child processes have used so far."""
        return sum(self.cpu_by_process().values())

    def cpu_by_process(self) -> dict[int, float]:
        """The same for each by its id."""
        return {pid: _cpu_seconds(pid) for pid in _family(self.pid)}

    def memory_mib(self) -> float:
        """Resident memory of it and its child processes."""
        return sum(map(_resident_kib, _family(self.pid))) / 1024


@contextmanager
def running(name: str, command: Sequence[str], cores: Cores) -> Iterator[Server]:
    """``python -m <command> --port <free port>`` on ``cores``, until the block ends.

    Raises BenchError, with the last lines it wrote, when it does not come to listen.
    """
    port = _free_port()
    log = BUILD / "logs" / f"{name.replace(' ', '-').replace(',', '')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {key: text for key, text in os.environ.items() if not key.startswith("VAE_")}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            [*pinned(cores), sys.executable, "-m", *command, "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_listening(name, process, port, log)
        yield Server(name, port, process.pid)
    finally:
        _stop(process)


def pinned(cores: Cores) -> list[str]:
    """The prefix of a command that keeps it on these cores."""
    return ["taskset", "-c", ",".join(map(str, cores))]


def _wait_until_listening(
    name: str, process: subprocess.Popen[bytes], port: int, log: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
    raise BenchError(f"{name} does not listen on port {port}; its last words:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _family(pid: int) -> list[int]:
    """A process and all that descend from it and live."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children += map(int, (task / "children").read_text().split())
    return [pid, *(member for child in children for member in _family(child))]


def _cpu_seconds(pid: int) -> float:
    # The second field, the command's name in parentheses, may itself hold spaces and parentheses.
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = after_name[11:13]
    return (int(user) + int(system)) / TICKS_PER_SECOND


def _resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
