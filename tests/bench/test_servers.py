"""Real servers: what is sent, checked and measured."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import cores, serve, server
from bench.check import check
from bench.errors import BenchError
from bench.load import drive
from bench.models import Reference, bundle_of
from bench.paths import VENVS
from bench.rows import Operation, Row, select_rows
from bench.workloads import WORKLOADS

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of("mlp", tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module", params=["ours", "naive"])
def running(request: Any, bundle: Path) -> Iterator[tuple[Row, server.Server]]:
    (row,) = select_rows(request.param, VENVS)
    with server.running(row, bundle, VENVS, first_core()) as found:
        first = WORKLOADS["W1"]
        serve.wait_until_ready(found, first, row.operations[first.operation])
        yield row, found


def first_core() -> tuple[int, ...]:
    return (min(os.sched_getaffinity(0)),)


def test_the_model_is_trained_once(bundle: Path) -> None:
    written = (bundle / "manifest.json").stat().st_mtime_ns
    assert bundle_of("mlp", bundle.parents[1]) == bundle
    assert (bundle / "manifest.json").stat().st_mtime_ns == written


@linux
@pytest.mark.parametrize("name", ["W2", "W3", "W4", "W5", "W6"])
def test_every_operation_is_answered_right(running: Any, bundle: Path, name: str) -> None:
    row, found = running
    workload = WORKLOADS[name]
    operation = row.operations[workload.operation]
    assert check(found.port, workload, operation, Reference(bundle)) > 0


@linux
@pytest.mark.parametrize("name", ["W2", "W4", "W5", "W6"])
def test_a_wrong_reply_is_found(running: Any, bundle: Path, name: str) -> None:
    row, found = running
    workload, reference = WORKLOADS[name], Reference(bundle)
    decode, encoder = reference._decode, reference._encoder

    class Shifted:
        def run(self, *args: Any) -> Any:
            return [rows + 0.01 for rows in encoder.run(*args)]

    reference._decode = lambda z: decode(z) + 0.01  # type: ignore[method-assign]
    reference._encoder = Shifted()
    with pytest.raises(BenchError, match=r"is off by up to 0\.01"):
        check(found.port, workload, row.operations[workload.operation], reference)


@linux
def test_a_server_that_answers_always_the_same_is_found(bundle: Path) -> None:
    (row,) = select_rows("fixed", VENVS)
    workload = WORKLOADS["W6"]
    with server.running(row, bundle, VENVS, first_core()) as found:
        serve.wait_until_ready(found, workload, row.operations["sample_json"])
        with pytest.raises(BenchError, match="different requests have equal replies"):
            check(found.port, workload, row.operations["sample_json"], Reference(bundle))
        missing = Operation(path="/none", body="json", reply="json")
        with pytest.raises(BenchError, match="status 500"):
            check(found.port, workload, missing, Reference(bundle))


@linux
@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk")
def test_a_load_by_wrk_counts_requests_and_cpu_time(running: Any) -> None:
    row, found = running
    workload = WORKLOADS["W2"]
    operation = row.operations[workload.operation]
    given: Any = {"connections": 4, "server_cores": first_core(), "load_cores": first_core()}
    requests = serve.requests_of(workload, operation)
    run = drive(found, operation.path, requests, seconds=1, **given)
    assert run.counts.requests > 10
    assert 0.02 < run.server_seconds < 2
    assert 0 < run.load_seconds < 2
    assert run.speed > 1
    with pytest.raises(BenchError, match="had no status 2xx"):
        drive(found, "/none", requests, seconds=1, **given)


def row_of(command: tuple[str, ...]) -> Row:
    return Row(name="row", title="row", operations={}, command=command)


@linux
def test_processes_of_a_server_are_found_and_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = (  # the parent ends at once, the daemon ignores SIGTERM
        "import os, signal, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "        while time.process_time() < 0.5: pass\n"
        "        time.sleep(60)\n"
        "    os._exit(0)\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(server, "STOP_SECONDS", 0.5)
    row = row_of(("python", "-c", daemon))
    other = subprocess.Popen(["sleep", "60"])
    try:
        with server.running(row, tmp_path, VENVS, first_core()) as found:
            found.wait(lambda: found.cpu_seconds() > 0.4, 60)
            assert other.pid not in found.pids()
            assert found.memory_mib() > 1
            found.require_pinned(first_core())
            with pytest.raises(BenchError, match="runs on other cores"):
                found.require_pinned((9999,))
        assert found.pids() == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@linux
def test_a_server_that_ends_is_reported_with_its_log(tmp_path: Path) -> None:
    row = row_of(("python", "-c", "raise SystemExit('no model')"))
    with server.running(row, tmp_path, VENVS, first_core()) as found:
        with pytest.raises(BenchError, match=r"the server ended; its log ends with:\nno model"):
            found.wait(lambda: False, 30)
        with pytest.raises(BenchError, match="ended"):
            serve.wait_until_ready(
                found, WORKLOADS["W2"], Operation(path="/", body="json", reply="json")
            )


@linux
def test_core_speed_and_busy_time() -> None:
    busy = cores.busy_seconds(first_core())
    with cores.CoreSpeed(first_core()[0]) as speed:
        time.sleep(0.2)
    assert 1 < speed.million_turns < 1000
    assert cores.busy_seconds(first_core()) >= busy
