"""A connection under a million random events, by seed: its invariants hold after each."""

import asyncio
from pathlib import Path

import pytest

from service.models.registry import ModelRegistry
from tests.connections import run_drill
from tests.fakes import fake_service

pytestmark = pytest.mark.chaos

EVENTS = 10_000
SEEDS = range(100, 200)


def test_a_connection_keeps_its_invariants_for_a_million_events(tmp_path: Path) -> None:
    async def body() -> int:
        service = fake_service(tmp_path, inline_ms=2)
        registry = ModelRegistry({"fake": {1: service.model}}, default="fake")
        drills = [await run_drill(seed, EVENTS, tmp_path, registry) for seed in SEEDS]
        await service.model.close()
        return sum(drill.requests for drill in drills)

    requests = asyncio.run(body())
    print(f"\n{len(SEEDS) * EVENTS} events, {requests} requests")
    assert requests > 10_000
