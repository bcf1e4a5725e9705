"""The server of a process: how it starts, and how it leaves when it was told to before it began."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.server import create_lone_server
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.fakes import write_fake_bundle
from tests.servers import free_port

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Those of the tests, afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_who_is_told_to_leave_while_it_starts_gives_notice_all_the_same(tmp_path: Path) -> None:
    write_fake_bundle(tmp_path)
    settings = Settings.model_validate(
        {
            "models": tmp_path,
            "runtime": "tests.fakes:FakeRuntime",
            "port": free_port(),
            "notice_seconds": 0.2,
        }
    )
    server = create_lone_server(settings, Metrics())
    server.handle_exit(signal.SIGTERM, None)
    server.serve_until_told()
    assert server._shutdown.is_due
