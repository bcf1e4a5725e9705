"""How a real server fails to start, and how it stops."""

import asyncio
import json
import os
import re
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.fakes import SLOW, write_fake_bundle
from tests.load import Load, Outcome, request
from tests.servers import Server, command, serving
from tests.supervised import Service, workers

FAST = ("--runtime", "tests.fakes:FakeRuntime")
ENCODE = request("/encode", json.dumps({"inputs": [[1] * 20]}).encode())
ONE_OR_TWO = pytest.mark.parametrize("workers", ["1", "2"])


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_fake_bundle(tmp_path / "models")
    return tmp_path / "models"


def test_a_worker_that_hangs_before_it_is_ready_ends_the_start(models: Path) -> None:
    stuck = ("--runtime", "tests.fakes:StuckRuntime", "--start-seconds", "1")
    process = command("--models", str(models), *stuck, "--workers", "2")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(r"process \d+ is not ready after 1 s and is killed", output), output
    assert "no worker can serve" in output


@ONE_OR_TWO
def test_the_notice_says_not_ready_and_goes_on_to_answer(models: Path, workers: str) -> None:
    body = {"inputs": [[1] * 20]}
    with serving(models, *FAST, "--workers", workers, "--notice-seconds", "1.5") as server:
        with httpx.Client(base_url=server.url) as client:
            assert "connection" not in client.post("/encode", json=body).headers
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            answers = [client.get("/health/ready"), client.get("/health/live")]
            answers += [client.post("/encode", json=body)]
        assert [answer.status_code for answer in answers] == [503, 200, 200]
        assert {answer.headers.get("connection") for answer in answers} == {"close"}
        assert answers[0].json()["detail"] == "the server is shutting down"
        assert server.process.wait(10) == 0


async def stop_under_load(server: Server, connections: int, *, obeys_close: bool) -> Outcome:
    async with Load(server.port, ENCODE, connections, obeys_close=obeys_close) as load:
        await asyncio.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        await load.until_refused()
    return load.outcome


@ONE_OR_TWO
@pytest.mark.parametrize("entry", ["--no-asgi-only", "--asgi-only"])
@pytest.mark.parametrize("obeys_close", [True, False], ids=["obey", "reconnect"])
def test_sigterm_under_load(models: Path, workers: str, entry: str, *, obeys_close: bool) -> None:
    """Clients that obey Connection: close lose nothing; of blind ones at most one does."""
    options = (*FAST, "--workers", workers, "--notice-seconds", "0.2", entry)
    with serving(models, *options) as server:
        outcome = asyncio.run(stop_under_load(server, 16, obeys_close=obeys_close))
        assert len(outcome.lost) <= (0 if obeys_close else 1), outcome.lost
        assert outcome.statuses.keys() == {200}
        assert server.process.wait(10) == 0


def test_a_request_that_is_still_coming_is_answered(models: Path) -> None:
    head, _, body = ENCODE.partition(b"\r\n\r\n")

    async def ask(server: Server) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(ENCODE)
        await reader.readuntil(b"}")
        writer.write(head + b"\r\n\r\n" + body[:10])
        await asyncio.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.8)
        writer.write(body[10:])
        reply = await reader.read()  # to the end
        writer.close()
        return reply

    with serving(models, *FAST, "--notice-seconds", "0") as server:
        reply = asyncio.run(ask(server))
        assert reply.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in reply
        assert server.process.wait(10) == 0


def test_a_second_signal_ends_one_process_at_once(models: Path) -> None:
    slow = ("--runtime", "tests.fakes:SlowRuntime", "--max-batch-rows", "1")
    with serving(models, *slow) as server, httpx.Client(base_url=server.url) as client:
        with pytest.raises(httpx.ReadTimeout):  # 20 rows of half a second
            client.post("/encode", json={"inputs": [[SLOW] * 20] * 20}, timeout=0.3)
        for _ in range(2):
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
        assert server.process.wait(2) == 1


def test_a_port_in_use_ends_the_start_of_one_process_before_models_are_loaded(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        process = command("--models", str(tmp_path / "no\nmodels"), "--port", port)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"vae-serve: cannot listen on 127.0.0.1:{port}: Address already in use\n" in output


def test_a_name_with_a_line_break_cannot_forge_a_line(tmp_path: Path) -> None:
    process = command("--models", str(tmp_path / "no\nvae-serve: models"), *FAST, "--port", "0")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(r"^vae-serve: bundle .*/no\\nvae-serve: models: ", output, re.MULTILINE)
    assert len(re.findall("^vae-serve", output, re.MULTILINE)) == 1


def test_a_variable_that_kubernetes_sets_for_a_service_is_ignored(tmp_path: Path) -> None:
    link = ("env", "VAE_PORT=tcp://10.0.0.1:80")
    process = command("--models", str(tmp_path / "nowhere"), "--workers", "1", under=link)
    output, _ = process.communicate(timeout=60)
    assert "VAE_PORT=tcp://10.0.0.1:80 is ignored: Kubernetes sets it for a Service" in output
    assert "no such directory" in output  # after the port was bound


def test_an_error_names_the_variable_or_the_flag_that_caused_it() -> None:
    many = ("env", "VAE_PORT=many")
    for arguments, said in [((), "VAE_PORT: "), (("--port", "few"), "--port: ")]:
        process = command(*arguments, under=many)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 2
        assert output.startswith(f"vae-serve: {said}"), output


@ONE_OR_TWO
def test_a_service_whose_standard_input_is_closed_ends_cleanly(models: Path, workers: str) -> None:
    closed = ("sh", "-c", 'exec "$@" <&-', "sh")
    options = (*FAST, "--workers", workers, "--notice-seconds", "0")
    with serving(models, *options, under=closed) as server:
        assert httpx.post(f"{server.url}/encode", json={"inputs": [[1] * 20]}).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


def test_a_supervisor_that_is_killed_can_be_started_again_at_once(models: Path) -> None:
    with workers(models, *FAST, "--notice-seconds", "0.5") as service:
        port = str(service.port)
        service.process.kill()
        service.process.wait()
        again = (*FAST, "--notice-seconds", "0.5", "--workers", "2")
        process = command("--models", str(models), "--port", port, *again)
        successor = Service(service.port, process)
        try:
            successor.wait_for_starts(2)
            assert successor.encode() == 200
        finally:
            successor.end()


def test_a_worker_that_receives_sigterm_is_replaced_on_the_same_port(models: Path) -> None:
    with workers(models, *FAST, "--notice-seconds", "0") as service:
        os.kill(service.starts()[0][1], signal.SIGTERM)
        service.wait_for_starts(3)
        assert [service.encode() for _ in range(20)] == [200] * 20
