"""How the server of a process starts and stops."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.server import create_single_process_server
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.workers.listeners import bind
from tests.fakes import write_fake_bundle

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Those of the tests, afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_process_that_is_stopped_while_it_starts_gives_notice_as_well(tmp_path: Path) -> None:
    write_fake_bundle(tmp_path)
    settings = Settings.model_validate(
        {
            "models": tmp_path,
            "runtime": "tests.fakes:FakeRuntime",
            "notice_seconds": 0.2,
        }
    )
    server = create_single_process_server(settings, Metrics())
    server.handle_exit(signal.SIGTERM, None)
    server.run_until_stopped(bind("127.0.0.1", 0))
    assert server._shutdown.is_due
