"""A seed gives the same bytes, whichever worker, batch or process answers."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.load import Load, Outcome, request
from tests.supervised import Service, workers

pytestmark = pytest.mark.chaos

RESTARTS = 3
SECONDS = 4.0
X = (np.arange(128).reshape(2, 64) % 17).tolist()
SEEDED = [
    request("/sample", json.dumps({"n": 3, "seed": 5}).encode()),
    request("/sample?n=40&seed=9007199254740991", b"", "Accept: application/x-npy"),
    request("/encode", json.dumps({"inputs": X, "sample": True, "seed": 7}).encode()),
    request("/reconstruct", json.dumps({"inputs": X, "sample": True, "seed": 8}).encode()),
    request("/score", json.dumps({"inputs": X, "samples": 5, "seed": 9}).encode()),
]
OTHERS = [request(f"/sample?n={n}", b"", "Accept: application/x-npy") for n in (1, 30, 200)]


async def ask(service: Service) -> Sequence[Outcome]:
    """What each seeded request got, while others filled the batches with rows of their own."""
    async with AsyncExitStack() as stack:
        loads = [
            await stack.enter_async_context(Load(service.port, data, 4))
            for data in (*SEEDED, *OTHERS)
        ]
        await asyncio.sleep(SECONDS)
    return [load.outcome for load in loads[: len(SEEDED)]]


def test_a_seed_is_a_seed_everywhere(digits_bundle: Path) -> None:
    answers: list[set[tuple[str, bytes]]] = [set() for _ in SEEDED]
    answered = 0
    for _ in range(RESTARTS):
        with workers(digits_bundle) as service:
            for said, outcome in zip(answers, asyncio.run(ask(service)), strict=True):
                assert outcome.statuses.keys() == {200}
                answered += outcome.answered
                said |= outcome.answers
    print(f"\n{answered} answers of {len(SEEDED)} seeded requests by {2 * RESTARTS} workers")
    assert [len(said) for said in answers] == [1] * len(SEEDED)
