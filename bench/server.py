"""A server under test: its processes, pinned to cores, and what they cost there."""

import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from bench.errors import BenchError
from bench.paths import BUILD, ROOT, SERVERS
from bench.rows import Row

STOP_SECONDS: Final = 20
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER: Final = 36
Cores = Sequence[int]


@dataclass(frozen=True)
class Server:
    """A running server on ``port`` of 127.0.0.1.

    Its processes are all descendants of this process but for ``others``, which were there before:
    so are daemons whose parent has ended, because ``running`` makes this process adopt them.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    others: frozenset[int]

    def pids(self) -> list[int]:
        """The ids of its processes."""
        return [pid for pid in _descendants(os.getpid()) if pid not in self.others]

    def cpu_by_process(self) -> dict[int, float]:
        """User and system seconds so far by process id, ended children included."""
        return {pid: _cpu_seconds(pid) for pid in self.pids()}

    def cpu_seconds(self) -> float:
        """The sum over all processes."""
        return sum(self.cpu_by_process().values())

    def memory_mib(self) -> float:
        """Proportional set size of all processes: shared pages count once."""
        return sum(map(_pss_kib, self.pids())) / 1024

    def require_pinned(self, cores: Cores) -> None:
        """Raises BenchError if a process may run on another core."""
        for pid in self.pids():
            if not os.sched_getaffinity(pid) <= set(cores):
                raise BenchError(f"process {pid} runs on other cores than {list(cores)}")

    def wait(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until ``ready`` is true.

        Raises BenchError with the end of the log if the server ends or ``seconds`` pass.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if ready():
                return
            time.sleep(0.2)
        ended = self.process.poll() is not None
        what = "the server ended" if ended else f"the server was not ready in {seconds:g} s"
        raise BenchError(f"{what}; its log ends with:\n{_tail(self.log)}")


@contextmanager
def running(
    row: Row,
    bundle: Path,
    venvs: Path,
    cores: Cores,
    *,
    operation: str = "",
    arguments: Sequence[str] = (),
) -> Iterator[Server]:
    """Start the row's server on ``cores``; stop all its processes at the end of the block."""
    others = frozenset(_descendants(os.getpid()))
    port = row.port or _free_port()
    log = BUILD / "logs" / f"{row.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, log.open("wb") as output:
        values = {"PORT": str(port), "BUNDLE": str(bundle), "OPERATION": operation}
        environment = {**_environment(row, venvs), **values}
        command = [Template(word).substitute(values) for word in (*row.command, *arguments)]
        _adopt_orphans(True)
        process = subprocess.Popen(  # noqa: S603
            [*pinned(cores), *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        server = Server(port, process, log, others)
        try:
            yield server
        finally:
            _stop(server)
            _adopt_orphans(False)


def pinned(cores: Cores) -> list[str]:
    """The prefix of a command that pins it to these cores."""
    return ["taskset", "-c", ",".join(map(str, cores))]


def _environment(row: Row, venvs: Path) -> dict[str, str]:
    inherited = {key: text for key, text in os.environ.items() if not key.startswith("VAE_")}
    # In an environment of the row's own only vae.onnxruntime_no_telemetry is imported from ROOT.
    paths = {
        "PATH": f"{row.programs(venvs)}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(map(str, (SERVERS, ROOT))),
    }
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**inherited, **paths, **threads, **row.environment}


def _adopt_orphans(adopt: bool) -> None:
    """Whether a descendant whose parent ends becomes a child of this process instead of init."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


def _stop(server: Server) -> None:
    """SIGTERM to the server; SIGKILL to whatever is left after STOP_SECONDS."""
    server.process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    while _alive(server) and time.monotonic() < deadline:
        time.sleep(0.1)
    while left := _alive(server):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def _alive(server: Server) -> list[int]:
    """Its processes, after the exit status of ended ones was collected."""
    server.process.poll()
    for pid in server.pids():
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return server.pids()


def _descendants(pid: int) -> list[int]:
    """The children of a process, their children and so on."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return [*found, *(deeper for child in found for deeper in _descendants(child))]


def _cpu_seconds(pid: int) -> float:
    try:
        # The second field, the command's name in parentheses, may hold spaces and parentheses.
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, after_name[11:15])) / TICKS_PER_SECOND


def _pss_kib(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
