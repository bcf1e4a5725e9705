"""A million random events on a batcher, by seed; see tests/batcher_simulation.py."""

import logging
from collections import Counter

import pytest

import service.batching.batcher
from tests.batcher_simulation import simulate

SEEDS = range(100)
EVENTS = 10_000

pytestmark = pytest.mark.chaos


def test_every_call_ends_once_in_a_million_events(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service.batching.batcher, "MEMORY_RETRY_SECONDS", 0)
    caplog.set_level(logging.CRITICAL, "service.batching")
    outcomes: Counter[str] = Counter()
    for seed in SEEDS:
        try:
            outcomes += simulate(seed, EVENTS)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
    print("\n" + "  ".join(f"{name} {count:,}" for name, count in sorted(outcomes.items())))
