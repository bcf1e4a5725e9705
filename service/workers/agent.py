"""In a worker: does what the supervisor says, and passes on to it what the API is asked."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any, Final

from service.errors import Unavailable
from service.models.loader import ModelLoader
from service.models.store import ModelVersion
from service.models.versions import VersionStatus
from service.workers.channel import Channel, Gone
from service.workers.snapshot import Copy

BEAT_SECONDS: Final = 1.0


class WorkerAgent:
    """The admin of a worker's models, which is the supervisor's arm."""

    def __init__(self, supervisor: socket.socket, loader: ModelLoader) -> None:
        self._supervisor = supervisor
        self._loader = loader
        self._channel: Channel | None = None

    async def run(self) -> None:
        """Say that this worker is ready, then follow and show signs of life."""
        self._channel = await Channel.over(
            self._supervisor, {"load": self._load, "unload": self._unload, "show": self._show}
        )
        self._channel.tell("ready")
        following = asyncio.create_task(self._channel.run())
        while not following.done():
            self._channel.tell("beat")
            await asyncio.wait((following,), timeout=BEAT_SECONDS)

    async def load(self, key: ModelVersion) -> None:
        """Have all workers serve this version. Raises UnknownModel and BundleRefused."""
        await self._ask("load", key)

    async def unload(self, key: ModelVersion) -> None:
        """Have no worker serve this version. Raises UnknownModel."""
        await self._ask("unload", key)

    async def _ask(self, what: str, key: ModelVersion) -> None:
        try:
            if self._channel is None:
                raise Gone
            await self._channel.call(what, name=key.name, version=key.version)
        except Gone:
            raise Unavailable("the server is shutting down") from None

    async def _load(self, directory: str, origin: str) -> None:
        bundle = await asyncio.to_thread(Copy(directory, origin).open)
        await self._loader.load(bundle)

    async def _unload(self, name: str, version: int) -> None:
        await self._loader.unload(ModelVersion(name, version))

    async def _show(self, entries: list[Mapping[str, Any]]) -> None:
        self._loader.show([VersionStatus(**entry) for entry in entries])
