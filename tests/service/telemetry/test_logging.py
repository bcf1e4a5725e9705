"""What is logged of requests, and as what."""

import fcntl
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.errors import InvalidInput, QueueFull
from service.telemetry.logging import (
    MAX_ERRORS_PER_SECOND,
    AccessLog,
    HumanFormatter,
    JsonFormatter,
    LogQueue,
    RefusalLog,
)
from service.telemetry.metrics import Metrics
from service.telemetry.record import RequestRecord
from tests.fakes import write_fake_bundle
from tests.servers import serving
from tests.service.http.test_entries import ask, http


def refused(error: InvalidInput | QueueFull, request_id: str = "r-1") -> RequestRecord:
    return RequestRecord(
        "encode", "fake/1", error.status, 0.002, 0.001, 0.0, request_id, None, error
    )


def test_a_flood_of_refusals_is_a_few_lines_and_a_number(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("service.telemetry.logging.time.monotonic", lambda: now[0])
    caplog.set_level(logging.INFO)
    log = RefusalLog()
    for _ in range(1000):
        log(refused(QueueFull("full", retry_after=1)))
    log(refused(InvalidInput("bad")))
    assert len(caplog.records) == MAX_ERRORS_PER_SECOND + 1
    now[0] += 1
    log(refused(QueueFull("full", retry_after=1)))
    last = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert last["left_out"] == 1000 - MAX_ERRORS_PER_SECOND


def test_what_a_client_wrote_cannot_begin_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    RefusalLog()(refused(InvalidInput("bad\n2026-01-01 ERROR root: forged \x1b[31m")))
    line = JsonFormatter().format(caplog.records[0])
    assert "\n" not in line
    assert "\n" not in caplog.records[0].getMessage()
    assert "\x1b" not in line + caplog.records[0].getMessage()
    assert json.loads(line)["reason"] == "invalid-input"


def formatted(message: str, error: Exception | None = None) -> str:
    """A human-readable line as ``configure`` has it, without its time."""
    exception = (type(error), error, None) if error else None
    record = logging.LogRecord("service", logging.INFO, "", 0, message, None, exception)
    return HumanFormatter("%(levelname)s: %(message)s").format(record)


def test_no_text_can_forge_a_human_readable_line() -> None:
    forged = "models/a\n2026-01-01 ERROR root: forged\r\x1b[31m\u2028\x85"
    assert formatted(forged) == (
        r"INFO: models/a\n2026-01-01 ERROR root: forged\r\x1b[31m\u2028\x85"
    )
    lines = formatted("failed", ValueError("a\nERROR root: forged \x1b[31m")).split("\n")
    assert lines == ["INFO: failed", "  ValueError: a", r"  ERROR root: forged \x1b[31m"]


def test_the_access_log_has_every_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    record = RequestRecord("encode", "fake/1", 200, 0.002, 0.001, 0.0, "r-1", None, None)
    for _ in range(100):
        AccessLog()(record)
    assert [found.msg for found in caplog.records] == [record] * 100


class Pipe:
    """A log queue of 100 lines into a pipe that holds 64 KiB, and the pipe's other end."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.lines = LogQueue(self.writer, max_lines=100)

    def log(self, *lines: str) -> None:
        for line in lines:
            self.lines.handle(logging.LogRecord("x", logging.INFO, "", 0, line, None, None))

    def read(self, until: Callable[[bytes], bool]) -> bytes:
        data = b""
        while not until(data):
            data += os.read(self.reader, 65536)
        return data

    def close(self) -> None:
        self.lines.close()
        os.close(self.writer)
        os.close(self.reader)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def within(seconds: float, action: Callable[[], object]) -> None:
    """Do it in a thread, so that an action that never ends fails the test."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive()


def test_lines_are_written_in_order(pipe: Pipe) -> None:
    pipe.log("one", "two\ud800", "%d percent")
    data = pipe.read(lambda data: data.count(b"\n") == 3)
    assert data == b"one\ntwo\\ud800\n%d percent\n"
    assert pipe.lines.dropped == 0


def test_queued_lines_are_written_at_the_end(pipe: Pipe) -> None:
    pipe.log("first", "last")
    pipe.lines.close()
    assert os.read(pipe.reader, 100) == b"first\nlast\n"


def test_a_pipe_that_nobody_reads_delays_nobody(pipe: Pipe) -> None:
    total = 4000
    within(20, lambda: pipe.log(*(f"line {number:0100}" for number in range(total))))
    dropped = pipe.lines.dropped
    assert dropped > total / 2
    pipe.read(lambda data: data.count(b"line 0") == total - dropped)
    pipe.log("afterwards")
    assert pipe.read(lambda data: data.endswith(b"\n")) == b"afterwards\n"
    assert pipe.lines.dropped == dropped


def test_the_end_does_not_wait_for_a_reader(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.telemetry.logging.FLUSH_SECONDS", 0.01)
    pipe.log(*["x" * 5000] * 50)
    within(5, pipe.lines.close)
    pipe.read(lambda data: data.count(b"\n") == 50)


def test_lines_that_cannot_be_written_are_counted() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    lines = LogQueue(writer)
    for _ in range(3):
        lines.handle(logging.LogRecord("x", logging.INFO, "", 0, "line", None, None))
    lines.close()
    assert lines.dropped == 3
    os.close(writer)


def test_dropped_lines_are_a_metric() -> None:
    metrics, dropped = Metrics(), [0]
    metrics.count_dropped_lines(lambda: dropped[0])
    for dropped[0] in (0, 3, 3, 10):
        assert f"vae_log_dropped_total {dropped[0]}.0\n" in metrics.render().decode()


@pytest.mark.parametrize("lane", ["--no-asgi-only", "--asgi-only"])
def test_requests_are_logged_as_json(tmp_path: Path, lane: str) -> None:
    write_fake_bundle(tmp_path)
    options = ("--runtime", "tests.fakes:FakeRuntime", "--log-format", "json", "--access-log", lane)
    body = json.dumps({"inputs": [[1] * 20]}).encode()
    with serving(tmp_path, *options) as server:
        ask(server, http("/encode", body, "X-Request-Id: good"))
        ask(server, http("/encode", b"{", "X-Request-Id: bad"))
        server.process.terminate()
        printed, _ = server.process.communicate(timeout=30)
    lines = [json.loads(line) for line in printed.splitlines()]
    logged = {
        line.get("request_id"): line for line in lines if line["logger"] == "service.requests"
    }
    assert logged["good"]["op"] == "encode"
    assert logged["good"]["model"] == "fake/1"
    assert logged["good"]["status"] == 200
    assert logged["good"]["ms"] >= logged["good"]["compute_ms"] > 0
    assert logged["bad"]["reason"] == "malformed"


@pytest.mark.skipif(sys.platform != "linux", reason="makes a pipe smaller")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_log_that_nobody_reads_holds_up_no_request(tmp_path: Path, workers: str) -> None:
    write_fake_bundle(tmp_path)
    options = ("--runtime", "tests.fakes:FakeRuntime", "--access-log", "--workers", workers)
    body = json.dumps({"inputs": [[1] * 20]}).encode()
    with serving(tmp_path, *options) as server:
        assert server.process.stdout
        fcntl.fcntl(server.process.stdout, fcntl.F_SETPIPE_SZ, 4096)  # some twenty lines
        for _ in range(20):
            replies = ask(server, *[http("/encode", body)] * 20)
            assert all(reply.startswith(b"HTTP/1.1 200") for reply in replies)
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0
