import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.client.fake_server import FakeServer, running
from vae_client import AsyncClient, Client


class Awaited:
    """An AsyncClient with the calls of a Client: each is run to its end on one event loop."""

    def __init__(self, runner: asyncio.Runner, client: AsyncClient) -> None:
        self._runner = runner
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *args, **options: self._runner.run(method(*args, **options))

    def close(self) -> None:
        self._runner.run(self._client.aclose())

    def __enter__(self) -> "Awaited":
        self._runner.run(self._client.__aenter__())
        return self

    def __exit__(self, *error: Any) -> None:
        self._runner.run(self._client.__aexit__(*error))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with running() as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a client, of one kind or the other, that is closed after the test."""
    with asyncio.Runner() as runner, ExitStack() as stack:

        def make(*args: Any, **options: Any) -> Client | Awaited:
            client = (
                Client(*args, **options)
                if request.param == "sync"
                else Awaited(runner, AsyncClient(*args, **options))
            )
            stack.callback(client.close)
            return client

        yield make
