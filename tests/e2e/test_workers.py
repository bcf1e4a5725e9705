"""Several workers: real processes on a real port, with what happens to them in production."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.fakes import SLOW, write_fake_bundle
from tests.servers import can_mount, command, free_port
from tests.supervised import Service, wait_until, workers

FAST = ("--runtime", "tests.fakes:FakeRuntime")
ONE_AT_A_TIME = (
    "--runtime",
    "tests.fakes:SlowRuntime",
    "--inline-ms",
    "0",
    "--max-batch-rows",
    "1",
)
SLOW_ROW = [SLOW] * 20  # half a second


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_fake_bundle(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the service puts its temporary files."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


def kill(process: int) -> None:
    subprocess.run(["kill", "-9", str(process)], check=True)


def test_every_worker_answers_and_the_metrics_are_those_of_all(models: Path) -> None:
    with workers(models, *FAST, "--access-log") as service:
        assert [service.encode() for _ in range(40)] == [200] * 40
        wait_until(lambda: service.encoded() == 40, 5, service.log)  # counted once written
        wait_until(
            lambda: (
                httpx.get(f"{service.url}/metrics").status_code == 200
                and len(set(service.log.find(r"\[(\d+)\] service.requests: 200 scrape "))) == 2
            ),
            20,
            service.log,
        )
        text = httpx.get(f"{service.url}/metrics").text
        assert len(re.findall(r"^vae_model_info\{.*\} 1\.0$", text, re.MULTILINE)) == 1
        assert 'vae_queue_rows{model="fake",version="1"} 0.0' in text


def test_a_killed_worker_is_replaced_from_the_copies_and_others_do_not_notice(
    models: Path,
) -> None:
    with workers(models, *FAST) as service, ThreadPoolExecutor(4) as pool:
        before = [service.encode() for _ in range(10)]
        write_fake_bundle(models)
        wait_until(lambda: bool(service.log.find("loaded (fake/2)")), 10, service.log)
        for file in models.glob("fake/*/*"):
            file.write_bytes(b"damaged")
        stop = threading.Event()

        def load() -> list[tuple[int, float]]:
            return [(service.encode(), time.monotonic()) for _ in iter(stop.is_set, True)]

        asking = [pool.submit(load) for _ in range(4)]
        try:
            time.sleep(0.3)
            killed = time.monotonic()
            kill(service.starts()[0][1])
            service.wait_for_starts(3, seconds=10)
            time.sleep(0.3)
        finally:
            stop.set()
        answers = [answer for future in asking for answer in future.result()]
        during = [status for status, _ in answers]
        assert before == [200] * 10
        assert set(during) <= {0, 200}
        assert during.count(0) <= 4  # one for each connection that the dead worker may have had
        assert during.count(200) > 10
        answered = len(before) + during.count(200)
        # What it had not passed on yet, ten times a second or a little less, died with it.
        last = sum(1 for _, at in answers if killed - 0.3 <= at <= killed + 0.1)
        time.sleep(0.5)
        assert answered - last <= service.encoded() <= answered + during.count(0)
        replies = [httpx.get(f"{service.url}/models/fake").json() for _ in range(10)]
        assert {reply["version"] for reply in replies} == {2}


def test_a_worker_that_hangs_is_replaced_and_a_pause_of_all_is_no_hang(models: Path) -> None:
    with workers(models, *FAST, "--hang-seconds", "1.5") as service:
        everybody = [service.process.pid, *(process for _, process in service.starts())]
        for process in everybody:
            os.kill(process, signal.SIGSTOP)
        time.sleep(2.5)
        for process in everybody:
            os.kill(process, signal.SIGCONT)
        time.sleep(1.5)
        assert len(service.starts()) == 2, service.log
        os.kill(everybody[1], signal.SIGSTOP)
        service.wait_for_starts(3, seconds=10)
        assert service.log.find(f"process ({everybody[1]}) does not answer and is killed")
        assert [service.encode() for _ in range(10)] == [200] * 10


def test_a_dead_worker_is_replaced_after_the_private_files_were_removed(
    models: Path, temporary: Path
) -> None:
    with workers(models, *FAST) as service:
        (private,) = temporary.iterdir()
        shutil.rmtree(private)
        for _, worker in service.starts():
            kill(worker)
        service.wait_for_starts(4)
        assert [service.encode() for _ in range(10)] == [200] * 10
        wait_until(lambda: service.encoded() == 10, 5, service.log)
        assert private.stat().st_mode & 0o777 == 0o700


def test_a_worker_that_is_killed_while_it_loads_a_version_is_replaced_at_once(
    models: Path,
) -> None:
    """And another worker loads the version."""
    slow = ("--runtime", "tests.fakes:SlowToLoadRuntime")
    with workers(models, *slow) as service:
        write_fake_bundle(models)
        loading = service.log.find
        wait_until(lambda: bool(loading(r"\[(\d+)\] .*: begins to load fake/2")), 20, service.log)
        ((first,),) = loading(r"\[(\d+)\] .*: begins to load fake/2")
        kill(int(first))
        service.wait_for_starts(3, seconds=20)
        wait_until(lambda: bool(service.log.find("loaded fake/2 from")), 30, service.log)
        assert not service.log.find("refused fake/2")


@pytest.mark.skipif(not can_mount(), reason="needs the right to mount a file system")
def test_a_temporary_directory_that_is_full_ends_the_start_and_no_worker(
    models: Path, temporary: Path
) -> None:
    def full(size: str, fill: str) -> tuple[str, ...]:
        script = f"mount -t tmpfs -o size={size} none {temporary} && {fill}"
        return ("unshare", "-m", "sh", "-c", f'{script}\nexec "$@"', "sh")

    two = ("--models", str(models), *FAST, "--workers", "2", "--port")
    process = command(*two, str(free_port()), under=full("1m", "true"))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "vae-serve: no space for private copies of the bundles and for metrics: " in output

    port = free_port()
    wait = f"(sleep 4; cat /dev/zero > {temporary}/full) 2>/dev/null &"
    service = Service(port, command(*two, str(port), under=full("8m", wait)))
    try:
        service.wait_for_starts(2)
        time.sleep(4.5)
        for path in ("/models", "/models/fake", "/docs", "/openapi.json", "/nowhere"):
            httpx.get(f"{service.url}{path}")  # metrics that were never counted before
        assert [service.encode() for _ in range(20)] == [200] * 20
        assert len(service.starts()) == 2
    finally:
        service.end()


def test_sigterm_lets_requests_finish_and_leaves_nothing_behind(
    models: Path, temporary: Path
) -> None:
    slow = workers(models, *ONE_AT_A_TIME)
    with slow as service, ThreadPoolExecutor(8) as pool:
        assert len(list(temporary.iterdir())) == 1
        asking = [
            pool.submit(service.encode, SLOW_ROW) for _ in range(8)
        ]  # two seconds' work for two
        time.sleep(0.8)
        assert not all(future.done() for future in asking)
        service.process.send_signal(signal.SIGTERM)
        assert [future.result() for future in asking] == [200] * 8
        assert service.process.wait(20) == 0
        assert service.log.ended(1), "a worker outlived its supervisor"
        assert list(temporary.iterdir()) == []
        assert "Traceback" not in str(service.log)


def test_a_second_signal_ends_at_once(models: Path) -> None:
    with workers(models, *ONE_AT_A_TIME) as service, ThreadPoolExecutor(1) as pool:
        asking = pool.submit(service.encode, *[SLOW_ROW] * 20)  # ten seconds
        time.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert service.process.poll() is None
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(3) == 1
        assert service.log.ended(1)
        assert asking.result() == 0


def test_workers_end_when_the_supervisor_is_killed(models: Path, temporary: Path) -> None:
    with workers(models, *FAST) as service:
        service.process.kill()
        assert service.log.ended(10), "a worker outlived its supervisor"
        with socket.socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect(("127.0.0.1", httpx.URL(service.url).port))
        assert list(temporary.iterdir()) == []


def test_what_cannot_start_is_named(models: Path) -> None:
    two = ("--workers", "2")
    good = ("--models", str(models), *FAST)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        started = [
            ("no such directory", command("--models", str(models / "nowhere"), *two)),
            (
                f"bundle {models}/fake/1: decoder misses the golden mean",
                command("--models", str(models), "--runtime", "tests.fakes:BrokenRuntime", *two),
            ),
            (f"127.0.0.1:{port}: ", command(*good, *two, "--port", port)),
        ]
        for says, process in started:
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 1, output
            assert says in output
            assert "Traceback" not in output
    (models / "fake/1/golden.npz").unlink()
    process = command(*good, *two)
    assert "golden.npz cannot be read" in process.communicate(timeout=60)[0]
    assert process.returncode == 1
