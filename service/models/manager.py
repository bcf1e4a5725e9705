"""Keeps what is served in step with the disk, the policy and the wishes of the API.

It looks at the disk, asks the versions what to do, and has a fleet do it. The fleet is this process
(``service/models/loader.py``) or the workers of a supervisor (``service/workers/pool.py``).
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from service.errors import BundleRefused, ServiceError, UnknownModel
from service.models.store import BundleStore, ModelVersion
from service.models.versions import VersionState, VersionStatus
from vae.bundle import Bundle, BundleError

logger = logging.getLogger(__name__)


class Loader(Protocol):
    """Where bundles are served."""

    async def load(self, bundle: Bundle) -> None:
        """Serve it everywhere, in place of the same version if that is served.

        Raises BundleRefused, and then it is served nowhere and what was served before still is.
        """

    async def unload(self, key: ModelVersion) -> None:
        """Serve it no more. Requests that it is answering finish."""

    def show(self, entries: Sequence[VersionStatus]) -> None:
        """Let everybody who asks know."""


class ModelAdmin(Protocol):
    """Who loads and unloads at the wish of the API."""

    async def load(self, key: ModelVersion) -> None:
        """Raises UnknownModel and BundleRefused."""

    async def unload(self, key: ModelVersion) -> None:
        """Raises UnknownModel."""


class ModelManager:
    """The admin of a fleet. ``count`` is told of the result of every load."""

    def __init__(
        self,
        store: BundleStore,
        versions: VersionState,
        fleet: Loader,
        count: Callable[[str], None],
        watch_seconds: float,
    ) -> None:
        self._store = store
        self._versions = versions
        self._fleet = fleet
        self._count = count
        self._watch_seconds = watch_seconds or None
        self._rung = asyncio.Event()
        self._lock = asyncio.Lock()
        self._shown: list[VersionStatus] = []
        self._complaint = ""

    def first_bundles(self) -> Iterator[Bundle]:
        """Every bundle that is to be served from the start, verified.

        Raises BundleError for one that cannot be trusted, when one that the policy lists is
        missing, and when there is none: a server that starts serves all that it was given.
        """
        self._versions.see(self._store.scan(), at_once=True)
        if missing := self._versions.missing():
            raise self._store.lacks(missing)
        while key := self._versions.next_load():
            bundle = self._store.open(key)
            yield bundle
            self._serve(bundle)
        if not self._versions.entries():
            raise self._store.lacks([])
        self._show()

    async def watch(self) -> None:
        """Look at the disk every ``watch_seconds``, 0 being never, and when ``ring`` is called."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._rung.wait(), self._watch_seconds)
            at_once = self._rung.is_set()
            self._rung.clear()
            try:
                await self.look(at_once=at_once)
                self._complaint = ""
            except BundleError as error:
                self._complain(str(error))
            except Exception:
                logger.exception("the models could not be brought up to date. This is a bug.")

    async def look(self, *, at_once: bool) -> None:
        """Look at the disk and act on it, now or when the look that is under way is done.

        Raises BundleError when the disk cannot be read; nothing has changed then.
        """
        async with self._lock:
            self._versions.see(await asyncio.to_thread(self._store.scan), at_once=at_once)
            self._show()
            while key := self._versions.next_load():
                await self._load(key)
                self._show()
            for key in self._versions.unloads():
                await self._fleet.unload(key)
                self._versions.unload(key)
                logger.info("unloaded %s", key)
            self._show()

    def ring(self) -> None:
        """Look at the disk now, and take what is there without waiting until it has settled."""
        self._rung.set()

    async def load(self, key: ModelVersion) -> None:
        """Serve this version, whatever the policy says; read it again if it is served.

        Raises UnknownModel when it is not on the disk and BundleRefused with the reason.
        """
        await self._grant(key, serve=True)
        entry = self._versions.entry(key)
        if entry is None:
            raise UnknownModel("there is no such bundle", given=str(key))
        if entry.reason or entry.state != "serving":
            raise BundleRefused(entry.reason or "it is gone", given=str(key))

    async def unload(self, key: ModelVersion) -> None:
        """Serve this version no more, whatever the policy says. Raises UnknownModel."""
        if self._versions.entry(key) is None:
            raise UnknownModel("there is no such bundle", given=str(key))
        await self._grant(key, serve=False)

    async def _grant(self, key: ModelVersion, *, serve: bool) -> None:
        self._versions.wish(key, serve=serve)
        try:
            # Shielded: a caller who goes away must not leave a load half done.
            await asyncio.shield(self.look(at_once=True))
        except BundleError as error:
            raise BundleRefused(error.reason) from None

    async def _load(self, key: ModelVersion) -> None:
        try:
            bundle = await asyncio.to_thread(self._store.open, key)
            if bundle.manifest.digest == self._versions.digest(key):
                self._versions.serve(key, bundle.manifest.digest)  # only its times have changed
            else:
                await self._fleet.load(bundle)
                self._serve(bundle)
        except BundleError as error:
            self._refuse(key, error.reason)
        except ServiceError as error:
            self._refuse(key, error.detail)

    def _serve(self, bundle: Bundle) -> None:
        key = ModelVersion(bundle.manifest.name, bundle.manifest.version)
        self._versions.serve(key, bundle.manifest.digest)
        self._count("loaded")
        logger.info("loaded %s from %s", key, bundle.path)

    def _refuse(self, key: ModelVersion, reason: str) -> None:
        self._versions.refuse(key, reason)
        self._count("refused")
        logger.error("refused %s: %s", key, reason)

    def _show(self) -> None:
        if (entries := self._versions.entries()) != self._shown:
            self._shown = entries
            self._fleet.show(entries)

    def _complain(self, text: str) -> None:
        """Once, not at every look."""
        if text != self._complaint:
            logger.error("%s; what is served stays", text)
        self._complaint = text
