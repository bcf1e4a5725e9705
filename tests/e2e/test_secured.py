"""TLS and keys from files, on real servers."""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from service.probe import is_ready
from tests.fakes import write_fake_bundle
from tests.servers import command, free_port, serving

FAKE = ("--runtime", "tests.fakes:FakeRuntime")
ROW = {"inputs": [[1] * 20]}

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *(
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=test",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ),
            *("-keyout", key, "-out", certificate),
        ],
        capture_output=True,
        check=True,
    )
    return certificate, key


def tls(certificate: tuple[Path, Path]) -> tuple[str, ...]:
    return "--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_everything_is_said_in_secret(
    certificate: tuple[Path, Path], tmp_path: Path, workers: str
) -> None:
    write_fake_bundle(tmp_path / "models")
    keys = tmp_path / "keys"
    keys.write_text("k-one\n")
    options = (*FAKE, *tls(certificate), "--workers", workers, "--api-keys-file", str(keys))
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with serving(tmp_path / "models", *options, verify=context) as server:
        headers = {"X-API-Key": "k-one"}
        with httpx.Client(base_url=server.url, verify=context) as client:
            assert client.post("/encode", json=ROW).status_code == 401
            reply = client.post("/encode", json=ROW, headers=headers)
            assert reply.status_code == 200
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert len(client.post("/sample?n=4000", headers=headers).content) > 100_000
            assert client.get("/models", headers=headers).status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{server.port}/health/live")
        environment = {"VAE_PORT": str(server.port), "VAE_TLS_CERT": "cert.pem"}
        assert is_ready(environment)


def test_clients_that_never_shake_hands_are_closed_in_time(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    write_fake_bundle(tmp_path / "models")
    limits = ("--max-connections", "10", "--head-seconds", "2")
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with (
        serving(tmp_path / "models", *FAKE, *tls(certificate), *limits, verify=context) as server,
        ExitStack() as stack,
    ):
        address = ("127.0.0.1", server.port)
        silent = [
            stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(150)
        ]
        started = time.monotonic()
        assert httpx.post(f"{server.url}/encode", json=ROW, verify=context).status_code == 200
        assert time.monotonic() - started < 1.5
        for connection in silent:
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        assert time.monotonic() - started < 6


def test_a_page_of_a_named_origin_may_use_the_verbs(tmp_path: Path) -> None:
    """The fast lane leaves such requests to the slow one."""
    write_fake_bundle(tmp_path)
    origin = "https://example.org"
    with serving(tmp_path, *FAKE, "--cors-origins", origin) as server:
        for given, allowed in ((origin, origin), ("https://other.test", None)):
            reply = httpx.post(f"{server.url}/encode", json=ROW, headers={"Origin": given})
            assert reply.status_code == 200
            assert reply.headers.get("access-control-allow-origin") == allowed


def ends(arguments: Sequence[str]) -> str:
    """What a service says that ends with status 2."""
    process = command(*arguments, "--port", str(free_port()))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    assert "Traceback" not in output
    return output


def test_what_does_not_close_the_service_ends_it(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    write_fake_bundle(tmp_path / "models")
    other = tmp_path / "key.pem"
    subprocess.run(
        [*("openssl", "genpkey", "-algorithm", "RSA", "-aes256", "-pass", "pass:x", "-out"), other],
        capture_output=True,
        check=True,
    )
    good = ("--models", str(tmp_path / "models"), *FAKE)
    nowhere = str(tmp_path / "nowhere")
    cert = str(certificate[0])
    assert "No such file" in ends((*good, "--tls-cert", nowhere, "--tls-key", nowhere))
    assert "cannot be used" in ends((*good, "--tls-cert", cert, "--tls-key", cert))
    assert "passphrase" in ends((*good, "--tls-cert", cert, "--tls-key", str(other)))
    assert "both or neither" in ends((*good, "--tls-cert", cert))
    assert "cannot be read" in ends((*good, "--admin-keys-file", nowhere))
    said = ends((*good, "--api-keys", "sha256:k-one"))
    assert "64 hexadecimal digits" in said
    assert "k-one" not in said
