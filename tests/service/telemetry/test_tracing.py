"""Spans reach a collector, in the trace that the client began."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service.settings import Settings
from service.telemetry.tracing import tracer
from tests.fakes import write_fake_bundle
from tests.servers import serving
from tests.service.http.test_entries import ask, http

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector(ThreadingHTTPServer):
    """Keeps the bodies that it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Ear)
        self.heard: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1/traces"


class Ear(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.heard.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    with Collector() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.mark.parametrize("lane", ["--no-asgi-only", "--asgi-only"])
def test_a_request_becomes_a_span_of_its_trace(
    tmp_path: Path, collector: Collector, lane: str
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    write_fake_bundle(tmp_path)
    options = ("--runtime", "tests.fakes:FakeRuntime", "--otlp-endpoint", collector.url, lane)
    body = json.dumps({"inputs": [[1] * 20]}).encode()
    traceparent = f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"
    with serving(tmp_path, *options) as server:
        ask(server, http("/encode", body, traceparent), http("/encode", b"{"))
        server.process.terminate()  # what was not sent yet is sent at the end
        assert server.process.wait(timeout=30) == 0
    sent = b"".join(collector.heard)
    assert bytes.fromhex(TRACE) in sent
    assert b"vae-server" in sent
    assert b"fake/1" in sent
    assert b"malformed" in sent


def test_nothing_is_sent_without_an_endpoint(tmp_path: Path) -> None:
    assert tracer(Settings.model_validate({"models": tmp_path})) is None
