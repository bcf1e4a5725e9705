"""Versions that follow one another under load, some of them damaged."""

import asyncio
import json
import shutil
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.conftest import TrainBundle
from tests.load import Load, Outcome, request
from tests.servers import Server, resident, serving
from vae.bundle import open_bundle, write_bundle

pytestmark = pytest.mark.chaos

RELOADS = 200
DAMAGED_EVERY = 10
CONNECTIONS = 16
WARM = 50  # reloads until the allocator has seen what there is to see
GROWTH = 0.05  # of the resident memory from then on
X = np.arange(64).reshape(1, 64) % 17
RECONSTRUCT = request("/reconstruct", json.dumps({"inputs": X.tolist()}).encode())


class Publisher:
    """Publishes new versions of two models by turns; ``answers`` is what each says to X."""

    def __init__(self, models: Path, sources: list[Path]) -> None:
        self.models = models
        self.answers: dict[int, bytes] = {}  # by version
        self._turns = cycle([(open_bundle(source), answer(source)) for source in sources])

    def publish(self) -> Path:
        bundle, said = next(self._turns)
        fields = dict(bundle.manifest)
        for name in ("version", "files", "digest"):
            del fields[name]
        path = write_bundle(self.models, bundle.files, **fields)
        self.answers[int(path.name)] = said
        return path


def answer(source: Path) -> bytes:
    """What a model says to X when nothing else happens."""
    with serving(source) as alone:
        return httpx.post(f"{alone.url}/reconstruct", json={"inputs": X.tolist()}).content


@pytest.fixture
def publisher(train_bundle: TrainBundle, tmp_path: Path) -> Publisher:
    sources = [train_bundle("digits", "digits", hidden=(32,), seed=seed) for seed in (1, 2)]
    publisher = Publisher(tmp_path / "models", sources)
    publisher.publish()
    return publisher


async def follow(client: httpx.AsyncClient, version: int, state: str) -> dict[str, Any]:
    """Wait until a version is in a state; its entry."""
    deadline = time.monotonic() + 30
    while True:
        for entry in (await client.get("/models")).json()["versions"]:
            if entry["version"] == version and entry["state"] == state:
                return dict(entry)
        assert time.monotonic() < deadline, (version, state)
        await asyncio.sleep(0.05)


async def reload(server: Server, publisher: Publisher) -> tuple[Outcome, list[list[int]]]:
    """All reloads under load; the memory after each."""
    memory = []
    serving_now = None
    limits = httpx.Limits(max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(base_url=server.url, limits=limits) as client,
        Load(server.port, RECONSTRUCT, CONNECTIONS) as load,
    ):
        for number in range(1, RELOADS + 1):
            path = publisher.publish()
            if number % DAMAGED_EVERY == 0:
                decoder = path / "decoder.onnx"
                decoder.write_bytes(decoder.read_bytes()[:-7])
                entry = await follow(client, int(path.name), "refused")
                assert entry["reason"].startswith("decoder.onnx is damaged")
                shutil.rmtree(path)
            else:
                await follow(client, int(path.name), "serving")
                if serving_now:
                    shutil.rmtree(serving_now)
                serving_now = path
            memory.append(resident(server.process.pid))
    return load.outcome, memory


@pytest.mark.parametrize("workers", ["1", "2"])
def test_reloads_under_load_lose_nothing(publisher: Publisher, workers: str) -> None:
    options = ("--version-policy", "latest", "--watch-seconds", "0.1", "--workers", workers)
    with serving(publisher.models, *options) as server:
        started = time.monotonic()
        outcome, memory = asyncio.run(reload(server, publisher))
        seconds = time.monotonic() - started
    versions = {int(model.split("/")[1]) for model, _ in outcome.answers}
    growth = sum(memory[-1]) / sum(memory[WARM]) - 1
    print(
        f"\nworkers {workers}: {RELOADS} reloads in {seconds:.0f} s, {outcome.answered} answered, "
        f"{len(outcome.lost)} lost, {len(versions)} versions answered, slowest "
        f"{outcome.slowest * 1000:.0f} ms; MiB after 1, 50, 100, 150, 200: "
        f"{[[each >> 20 for each in memory[at]] for at in (0, 49, 99, 149, 199)]}"
    )
    assert outcome.lost == []
    assert outcome.statuses.keys() == {200}
    assert all(
        body == publisher.answers[int(model.split("/")[1])] for model, body in outcome.answers
    )
    assert growth < GROWTH


def all_answer(server: Server, label: str) -> bool:
    """Whether so many new connections in a row that every worker has answered say so."""
    for _ in range(8):
        reply = httpx.post(f"{server.url}/reconstruct", json={"inputs": X.tolist()})
        if reply.headers["x-model"] != label:
            return False
    return True


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_new_version_answers_in_all_workers_soon(publisher: Publisher, workers: str) -> None:
    seconds = []
    with serving(publisher.models, "--version-policy", "latest", "--workers", workers) as server:
        for _ in range(10):
            path = publisher.publish()
            started = time.monotonic()
            while not all_answer(server, f"digits/{path.name}"):
                assert time.monotonic() < started + 30
                time.sleep(0.02)
            seconds.append(time.monotonic() - started)
    print(
        f"\nworkers {workers}: a new version answers everywhere after {min(seconds):.1f} to "
        f"{max(seconds):.1f} s"
    )
    assert max(seconds) < 2
