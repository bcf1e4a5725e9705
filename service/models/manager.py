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

    def publish_statuses(self, statuses: Sequence[VersionStatus]) -> None:
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
        loader: Loader,
        count: Callable[[str], None],
        watch_seconds: float,
    ) -> None:
        self._store = store
        self._versions = versions
        self._loader = loader
        self._count = count
        self._watch_seconds = watch_seconds or None
        self._rescan_requested = asyncio.Event()
        self._lock = asyncio.Lock()
        self._published: list[VersionStatus] = []
        self._complaint = ""

    def initial_bundles(self) -> Iterator[Bundle]:
        """Every bundle that is to be served from the start, verified.

        Raises BundleError for one that cannot be trusted, when one that the policy lists is
        missing, and when there is none: a server that starts serves all that it was given.
        """
        self._versions.update(self._store.scan(), at_once=True)
        if missing := self._versions.missing():
            raise self._store.missing_error(missing)
        while key := self._versions.next_load():
            bundle = self._store.open(key)
            yield bundle
            self._serve(bundle)
        if not self._versions.statuses():
            raise self._store.missing_error([])
        self._publish()

    async def watch(self) -> None:
        """Rescan every ``watch_seconds`` (0: never) and when ``request_rescan`` was called."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._rescan_requested.wait(), self._watch_seconds)
            at_once = self._rescan_requested.is_set()
            self._rescan_requested.clear()
            try:
                await self.rescan(at_once=at_once)
                self._complaint = ""
            except BundleError as error:
                self._log_once(str(error))
            except Exception:
                logger.exception("the models could not be brought up to date. This is a bug.")

    async def rescan(self, *, at_once: bool) -> None:
        """Look at the disk and act on it, now or when the look that is under way is done.

        Raises BundleError when the disk cannot be read; nothing has changed then.
        """
        async with self._lock:
            self._versions.update(await asyncio.to_thread(self._store.scan), at_once=at_once)
            self._publish()
            while key := self._versions.next_load():
                await self._load(key)
                self._publish()
            for key in self._versions.to_unload():
                await self._loader.unload(key)
                self._versions.mark_unloaded(key)
                logger.info("unloaded %s", key)
            self._publish()

    def request_rescan(self) -> None:
        """Look at the disk now, and take what is there without waiting until it has settled."""
        self._rescan_requested.set()

    async def load(self, key: ModelVersion) -> None:
        """Serve this version, whatever the policy says; read it again if it is served.

        Raises UnknownModel when it is not on the disk and BundleRefused with the reason.
        """
        await self._override(key, serve=True)
        status = self._versions.status(key)
        if status is None:
            raise UnknownModel("there is no such bundle", given=str(key))
        if status.reason or status.state != "serving":
            raise BundleRefused(status.reason or "it is gone", given=str(key))

    async def unload(self, key: ModelVersion) -> None:
        """Serve this version no more, whatever the policy says. Raises UnknownModel."""
        if self._versions.status(key) is None:
            raise UnknownModel("there is no such bundle", given=str(key))
        await self._override(key, serve=False)

    async def _override(self, key: ModelVersion, *, serve: bool) -> None:
        self._versions.override(key, serve=serve)
        try:
            # Shielded: a caller who goes away must not leave a load half done.
            await asyncio.shield(self.rescan(at_once=True))
        except BundleError as error:
            raise BundleRefused(error.reason) from None

    async def _load(self, key: ModelVersion) -> None:
        try:
            bundle = await asyncio.to_thread(self._store.open, key)
            if bundle.manifest.digest == self._versions.served_digest(key):
                self._versions.mark_served(
                    key, bundle.manifest.digest
                )  # only its times have changed
            else:
                await self._loader.load(bundle)
                self._serve(bundle)
        except BundleError as error:
            self._refuse(key, error.reason)
        except ServiceError as error:
            self._refuse(key, error.detail)

    def _serve(self, bundle: Bundle) -> None:
        key = ModelVersion(bundle.manifest.name, bundle.manifest.version)
        self._versions.mark_served(key, bundle.manifest.digest)
        self._count("loaded")
        logger.info("loaded %s from %s", key, bundle.path)

    def _refuse(self, key: ModelVersion, reason: str) -> None:
        self._versions.mark_refused(key, reason)
        self._count("refused")
        logger.error("refused %s: %s", key, reason)

    def _publish(self) -> None:
        if (statuses := self._versions.statuses()) != self._published:
            self._published = statuses
            self._loader.publish_statuses(statuses)

    def _log_once(self, text: str) -> None:
        """Once, not at every look."""
        if text != self._complaint:
            logger.error("%s; what is served stays", text)
        self._complaint = text
