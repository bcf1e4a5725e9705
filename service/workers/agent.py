"""In a worker: carries out the supervisor's calls, and passes those of the admin API to it."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any, Final

from service.errors import BundleRefused, Unavailable
from service.models.loader import ModelLoader
from service.models.store import ModelVersion
from service.models.versions import VersionStatus
from service.workers.bundle_copies import BundleCopy
from service.workers.channel import Channel, ChannelClosed, to_line
from vae.bundle import Bundle, BundleError

HEARTBEAT_SECONDS: Final = 1.0
HEARTBEAT: Final = to_line({"call": "heartbeat", "arguments": {}})


class WorkerAgent:
    """The ModelAdmin of a worker: it has the supervisor load and unload versions in all workers."""

    def __init__(self, supervisor: socket.socket, loader: ModelLoader) -> None:
        self._supervisor = supervisor
        self._loader = loader
        self._channel: Channel | None = None
        self._refused: list[tuple[str, int, str]] = []

    def load_initial(self, bundle: Bundle) -> None:
        """Load a bundle before ``run``, and send a heartbeat: the start makes progress.

        A refused bundle is reported with ``ready``.
        """
        try:
            self._loader.load_initial(bundle)
        except BundleRefused as error:
            manifest = bundle.manifest
            self._refused.append((manifest.name, manifest.version, error.detail))
        self._supervisor.sendall(HEARTBEAT)

    async def run(self) -> None:
        """Report that this worker is ready, then handle calls and send heartbeats until the end."""
        self._channel = await Channel.connect(
            self._supervisor,
            {
                "load": self._load,
                "unload": self._unload,
                "publish_statuses": self._publish_statuses,
            },
        )
        self._channel.notify("ready", refused=self._refused)
        running = asyncio.create_task(self._channel.run())
        while not running.done():
            self._channel.notify("heartbeat")
            await asyncio.wait((running,), timeout=HEARTBEAT_SECONDS)

    async def load(self, key: ModelVersion) -> None:
        """Load this version in all workers. Raises UnknownModel, BundleRefused and Unavailable."""
        await self._call("load", key)

    async def unload(self, key: ModelVersion) -> None:
        """Unload this version in all workers. Raises UnknownModel and Unavailable."""
        await self._call("unload", key)

    async def _call(self, name: str, key: ModelVersion) -> None:
        try:
            if self._channel is None:
                raise ChannelClosed
            await self._channel.call(name, name=key.name, version=key.version)
        except ChannelClosed:
            raise Unavailable("the server is shutting down") from None

    async def _load(self, copy: Mapping[str, Any]) -> None:
        try:
            bundle = await asyncio.to_thread(BundleCopy.from_json(copy).open)
        except BundleError as error:
            raise BundleRefused(error.reason) from None
        await self._loader.load(bundle)

    async def _unload(self, name: str, version: int) -> None:
        await self._loader.unload(ModelVersion(name, version))

    async def _publish_statuses(self, statuses: list[Mapping[str, Any]]) -> None:
        self._loader.publish_statuses([VersionStatus(**status) for status in statuses])
