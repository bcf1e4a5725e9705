"""A connection keeps its invariants under random events; see tests/connections.py for them."""

import asyncio
from pathlib import Path

import pytest

from service.models.registry import ModelRegistry
from tests.connections import run_drill
from tests.fakes import fake_service


@pytest.mark.parametrize("seed", range(8))
def test_a_connection_keeps_its_invariants(seed: int, tmp_path: Path) -> None:
    async def body() -> None:
        service = fake_service(tmp_path, inline_ms=2)
        registry = ModelRegistry({"fake": {1: service.model}}, default="fake")
        drill = await run_drill(seed, 1500, tmp_path, registry)
        assert drill.requests > 100
        await service.model.close()

    asyncio.run(body())
