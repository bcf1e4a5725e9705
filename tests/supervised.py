"""A service of several workers, what it logs, and whether it leaves anything behind."""

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.servers import command, free_port

ROW = [1] * 20


class Log:
    """What the supervisor and all its workers write, read until the last of them has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            self.lines.extend(lines)

    def find(self, pattern: str) -> list[tuple[str, ...]]:
        return [match.groups() for line in self.lines if (match := re.search(pattern, line))]

    def ended(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def __str__(self) -> str:
        return "".join(self.lines)


class Service:
    """A supervisor with its workers."""

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.process = process
        self.log = Log(process)

    def starts(self) -> list[tuple[str, int]]:
        """Slot and process of every worker that became ready, in order."""
        found = self.log.find(r"worker (\d+) serves as process (\d+)")
        return [(slot, int(process)) for slot, process in found]

    def wait_for_starts(self, number: int, seconds: float = 30) -> None:
        wait_until(lambda: len(self.starts()) >= number, seconds, self.log)

    def encode(self, *rows: list[float]) -> int:
        """The status of a request on a connection of its own, or 0 when that was lost."""
        body = {"inputs": rows or [ROW]}
        try:
            return httpx.post(f"{self.url}/encode", json=body, timeout=20).status_code
        except httpx.TransportError:
            return 0

    def end(self) -> None:
        """Kill the supervisor, and whatever outlives it against its promise."""
        self.process.kill()
        self.process.wait()
        if not self.log.ended(10):
            for _, worker in self.starts():
                subprocess.run(["kill", "-9", str(worker)], capture_output=True, check=False)
            raise AssertionError("a worker outlived its supervisor")

    def encoded(self) -> float:
        """The requests to /encode that all workers counted."""
        text = httpx.get(f"{self.url}/metrics").text
        found = re.findall(r'^vae_requests_total\{.*op="encode".*\} (.*)$', text, re.MULTILINE)
        return sum(map(float, found))


def wait_until(condition: Callable[[], bool], seconds: float, log: Log) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log
        time.sleep(0.02)


@contextmanager
def workers(models: Path, *arguments: str) -> Iterator[Service]:
    """A service of two workers that are both ready."""
    port = free_port()
    options = ("--models", str(models), "--port", str(port), "--workers", "2")
    service = Service(port, command(*options, *arguments))
    try:
        service.wait_for_starts(2)
        yield service
    finally:
        service.end()
