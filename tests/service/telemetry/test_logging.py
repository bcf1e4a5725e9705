"""What is logged of requests, and as what."""

import fcntl
import json
import logging
import sys
from pathlib import Path

import pytest

from service.errors import InvalidInput, QueueFull
from service.telemetry.logging import (
    EACH_SECOND,
    AccessLog,
    HumanFormatter,
    JsonFormatter,
    RefusalLog,
)
from service.telemetry.record import RequestRecord
from tests.fakes import write_fake_bundle
from tests.servers import serving
from tests.service.http.test_lanes import ask, http


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
    assert len(caplog.records) == EACH_SECOND + 1
    now[0] += 1
    log(refused(QueueFull("full", retry_after=1)))
    last = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert last["left_out"] == 1000 - EACH_SECOND


def test_what_a_client_wrote_cannot_begin_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    RefusalLog()(refused(InvalidInput("bad\n2026-01-01 ERROR root: forged \x1b[31m")))
    line = JsonFormatter().format(caplog.records[0])
    assert "\n" not in line
    assert "\n" not in caplog.records[0].getMessage()
    assert "\x1b" not in line + caplog.records[0].getMessage()
    assert json.loads(line)["reason"] == "invalid-input"


def test_people_read_the_times_that_logging_would_write() -> None:
    ours, theirs = (kind("%(asctime)s %(message)s") for kind in (HumanFormatter, logging.Formatter))
    for created in (1e9, 1e9 + 0.25, 1e9 + 1.999, 1e9 + 3600):
        record = logging.makeLogRecord({"msg": "read", "created": created})
        record.msecs = created % 1 * 1000
        assert ours.format(record) == theirs.format(record)


def test_a_line_of_the_access_log_is_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    visit = RequestRecord("encode", "fake/1", 200, 0.002, 0.001, 0.0, "r-1", None, None)
    AccessLog()(visit)
    logging.getLogger("service.requests").info(visit)
    found, expected = (vars(record) for record in caplog.records)
    assert found.keys() == expected.keys()
    for name in ("name", "levelno", "levelname", "msg", "process", "thread", "message"):
        assert found[name] == expected[name]
    assert 0 <= expected["created"] - found["created"] < 60
    caplog.set_level(logging.WARNING)
    AccessLog()(visit)
    assert len(caplog.records) == 2


@pytest.mark.parametrize("lane", ["--fast-lane", "--no-fast-lane"])
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
    told = {line.get("request_id"): line for line in lines if line["logger"] == "service.requests"}
    assert told["good"]["op"] == "encode"
    assert told["good"]["model"] == "fake/1"
    assert told["good"]["status"] == 200
    assert told["good"]["ms"] >= told["good"]["compute_ms"] > 0
    assert told["bad"]["reason"] == "malformed"


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
