"""Log lines through a pipe, which somebody reads, or nobody."""

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import SimpleNamespace

import pytest

from service.telemetry import outlet
from service.telemetry.metrics import Metrics
from service.telemetry.outlet import AT_ONCE, Outlet, pieces


class Pipe:
    """An outlet into a pipe that holds 64 KiB, and the pipe's other end."""

    def __init__(self) -> None:
        self.end, self._entry = os.pipe()
        self.outlet = Outlet(self._entry)

    def log(self, *lines: str) -> None:
        for line in lines:
            self.outlet.handle(logging.LogRecord("x", logging.INFO, "", 0, line, None, None))

    def read(self, until: Callable[[bytes], bool]) -> bytes:
        data = b""
        while not until(data):
            data += os.read(self.end, 65536)
        return data

    def close(self) -> None:
        self.outlet.close()
        os.close(self._entry)
        os.close(self.end)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    monkeypatch.setattr(outlet, "LAST_SECONDS", 20.0)  # its thread must be gone before its pipe
    pipe = Pipe()
    yield pipe
    pipe.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def in_time(action: Callable[[], None]) -> None:
    """Do it in a thread, so that what waits for ever fails the test."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def test_lines_come_out_in_order(pipe: Pipe) -> None:
    pipe.log("one", "two\ud800")
    pipe.log(*map(str, range(1000)))
    data = pipe.read(lambda data: data.endswith(b"\n999\n"))
    assert data.decode().split("\n") == ["one", "two\\ud800", *map(str, range(1000)), ""]
    assert pipe.outlet.dropped == 0


def test_what_waits_is_written_at_the_end(pipe: Pipe) -> None:
    pipe.log("last")
    pipe.outlet.close()
    assert os.read(pipe.end, 100) == b"last\n"


def test_a_pipe_that_nobody_reads_holds_nobody_up(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlet, "MOST_LINES", 100)
    total = 4000
    in_time(lambda: pipe.log(*(f"line {number:0100}" for number in range(total))))
    dropped = pipe.outlet.dropped
    assert dropped > total / 2
    data = pipe.read(lambda data: data.count(b"line 0") == total - dropped)
    pipe.log("the first after the gap")
    data += pipe.read(lambda data: data.endswith(b"the first after the gap\n"))
    told = re.findall(rb"^(\d+) lines are left out here", data, re.MULTILINE)
    assert sum(map(int, told)) == dropped == pipe.outlet.dropped
    assert told[-1] in data[data.rindex(b"line 0") :]


def test_the_end_waits_for_no_reader(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(outlet, "LAST_SECONDS", 0.01)
        pipe.log(*["x" * 1000] * 1000)
        in_time(pipe.outlet.close)
    drained = threading.Thread(target=pipe.read, args=(lambda data: data.count(b"\n") == 1000,))
    drained.start()
    drained.join(20)
    assert not drained.is_alive()


def test_lines_without_a_reader_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Pipe()
    os.close(pipe.end)
    pipe.log("a", "b")
    wait_until(lambda: pipe.outlet.dropped == 2)
    pipe.log("c")
    wait_until(lambda: pipe.outlet.dropped == 3)
    pipe.end = os.open(os.devnull, os.O_RDONLY)
    pipe.close()


def test_what_is_written_at_once_are_whole_lines_and_no_more_than_linux_keeps_together() -> None:
    lines = [b"%d" % number * 50 + b"\n" for number in range(200)]
    found = list(pieces(lines))
    assert b"".join(found) == b"".join(lines)
    assert all(piece.endswith(b"\n") and len(piece) <= AT_ONCE for piece in found)
    assert all(len(one) + len(two) > AT_ONCE for one, two in pairwise(found))
    assert list(pieces([b"a\n", b"b" * AT_ONCE + b"\n", b"c\n"])) == [
        b"a\n",
        b"b" * AT_ONCE + b"\n",
        b"c\n",
    ]


def test_dropped_lines_are_a_metric() -> None:
    metrics, counting = Metrics(), SimpleNamespace(dropped=0)
    metrics.watch(counting)  # type: ignore[arg-type]
    for dropped, shown in ((0, 0), (3, 3), (3, 3), (10, 10)):
        counting.dropped = dropped
        assert f"vae_log_dropped_total {shown}.0\n" in metrics.render().decode()
