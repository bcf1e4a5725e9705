"""A batcher's invariants under random events: see tests/batcher_simulation.py."""

import logging

import pytest

import service.batching.batcher
from tests.batcher_simulation import simulate


@pytest.mark.parametrize("seed", range(4))
def test_every_call_ends_once_whatever_fails(
    seed: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service.batching.batcher, "MEMORY_RETRY_SECONDS", 0)
    caplog.set_level(logging.CRITICAL, "service.batching")
    counts = simulate(seed, 500)
    assert counts["completed"] > 10
    assert {"InternalError", "InvalidInput", "CancelledError", "rest"} <= counts.keys()
