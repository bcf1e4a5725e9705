"""Loads and unloads model versions, as the disk, the policy and the admin API ask for.

``ModelManager`` scans the disk with a BundleStore, decides with VersionState what to load and
unload, and has a Loader do it: the ModelLoader of this process (``service/models/loader.py``), or
the WorkerPool of a supervisor (``service/workers/pool.py``).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

from service.errors import BundleRefused, ServiceError, UnknownModel
from service.models import time_limit
from service.models.store import BundleStore, ModelVersion, Scan
from service.models.version_policy import Policy
from service.models.versions import VersionState, VersionStatus
from service.settings import Settings
from vae.bundle import Bundle, BundleError

logger = logging.getLogger(__name__)

PAUSE_PER_SCAN: Final = 20
"""The pause after a scan is at least this many times its duration: 5% of one core."""


class Loader(Protocol):
    """Where bundles are loaded: in this process or in workers."""

    async def load(self, bundle: Bundle) -> None:
        """Serve a bundle everywhere, in place of the same version if that is served.

        Raises BundleRefused; then the bundle is served nowhere, and a former one of the same
        version still is.
        """

    async def unload(self, version: ModelVersion) -> None:
        """Stop serving a version. Requests that it is answering finish."""

    def publish_statuses(self, statuses: Sequence[VersionStatus]) -> None:
        """Show the status of every version in ``GET /models``."""


class ModelAdmin(Protocol):
    """Loads and unloads versions for the admin API."""

    async def load(self, version: ModelVersion) -> None:
        """Raises UnknownModel and BundleRefused."""

    async def unload(self, version: ModelVersion) -> None:
        """Raises UnknownModel."""


class ModelManager:
    """Keeps what a Loader serves in step with the disk.

    ``count_load`` is called with the result of every load, "loaded" or "refused".
    """

    def __init__(
        self, settings: Settings, loader: Loader, count_load: Callable[[str], None]
    ) -> None:
        self._store = BundleStore(settings.models)
        self._state = VersionState(Policy.parse(settings.version_policy))
        self._loader = loader
        self._count_load = count_load
        self._strict = settings.strict
        self._watch_seconds = settings.watch_seconds
        self._limit_seconds = settings.start_seconds
        self._rescan_requested = asyncio.Event()
        self._lock = asyncio.Lock()
        self._scanning: Future[Scan] | None = None
        self._scan_seconds = 0.0
        self._published: list[VersionStatus] = []
        self._skipped: dict[str, str] = {}
        self._error = ""

    def load_initial(self, load: Callable[[Bundle], None]) -> list[str]:
        """Load every version that the policy selects with ``load``, which may raise BundleRefused.

        Returns the sorted names of the models, also of those that were refused.

        Raises BundleError if no version can be served, if a version that the policy lists is not on
        the disk, and with the setting ``strict`` if any version is refused. Passes on an OSError of
        ``load``.
        """
        scan = self._store.scan()
        self._log_skipped(scan.skipped)
        self._state.update(scan.versions, at_once=True)
        if missing := self._state.missing():
            raise self._store.missing_error(missing)
        refused: list[BundleError] = []
        while version := self._state.next_load():
            try:
                bundle = self._read_initial(version)
                load(bundle)
            except OSError:  # no room for a copy: not a fault of the bundle
                raise
            except Exception as error:
                refused.append(BundleError(self._store.path(version), _reason(error)))
                if self._strict:
                    raise refused[0] from None
                self._refuse(version, error)
            else:
                self._mark_served(version, bundle)
        statuses = self._state.statuses()
        if not any(status.state == "serving" for status in statuses):
            raise refused[0] if refused else self._store.missing_error()
        self._publish()
        return sorted({each.name for each in statuses if each.state in ("serving", "refused")})

    async def watch(self) -> None:
        """Rescan every ``watch_seconds`` (0: never) and when ``request_rescan`` was called."""
        while True:
            pause = max(self._watch_seconds, PAUSE_PER_SCAN * self._scan_seconds)
            with suppress(TimeoutError):
                await asyncio.wait_for(
                    self._rescan_requested.wait(), pause if self._watch_seconds else None
                )
            at_once = self._rescan_requested.is_set()
            self._rescan_requested.clear()
            try:
                await self.rescan(at_once=at_once)
                self._error = ""
            except BundleError as error:
                self._log_error(str(error))
            except Exception:
                logger.exception("the rescan of the models failed. This is a bug.")

    async def rescan(self, *, at_once: bool) -> None:
        """Scan the disk, then load and unload what VersionState says.

        ``at_once`` reads new files now, and not after two equal scans. If another rescan runs, wait
        for its end first. Raises BundleError if the disk cannot be scanned; nothing changes then.
        """
        async with self._lock:
            scan = await self._scan()
            self._log_skipped(scan.skipped)
            self._state.update(scan.versions, at_once=at_once)
            self._publish()
            while version := self._state.next_load():
                await self._load(version)
                self._publish()
            for version in self._state.to_unload():
                await self._loader.unload(version)
                self._state.mark_unloaded(version)
                logger.info("unloaded %s", version)
            self._publish()

    def request_rescan(self) -> None:
        """Have ``watch`` rescan now and read new files without waiting for a second scan."""
        self._rescan_requested.set()

    async def load(self, version: ModelVersion) -> None:
        """Serve this version, whatever the policy says; read it again if it is served.

        Raises UnknownModel if it is not on the disk, and BundleRefused with the reason.
        """
        await self._override(version, serve=True)
        status = self._state.status(version)
        if status is None:
            raise UnknownModel("there is no such bundle", given=str(version))
        if status.reason or status.state != "serving":
            reason = status.reason or "the bundle was removed meanwhile"
            raise BundleRefused(reason, given=str(version))

    async def unload(self, version: ModelVersion) -> None:
        """Stop serving this version, whatever the policy says. Raises UnknownModel."""
        if self._state.status(version) is None:
            raise UnknownModel("there is no such bundle", given=str(version))
        await self._override(version, serve=False)

    def refuse_initial(self, version: ModelVersion, reason: str) -> None:
        """Record that a version of ``load_initial`` turned out to be unusable in a worker.

        Raises BundleError if no version is left, and with the setting ``strict``.
        """
        self._state.mark_unloaded(version)
        self._refuse(version, BundleRefused(reason))
        self._publish()
        if self._strict or all(status.state != "serving" for status in self._published):
            raise BundleError(self._store.path(version), reason)

    async def _override(self, version: ModelVersion, *, serve: bool) -> None:
        self._state.override(version, serve=serve)
        try:
            # Shielded: a client that disconnects must not interrupt a load.
            await asyncio.shield(self.rescan(at_once=True))
        except BundleError as error:
            raise BundleRefused(error.reason) from None

    async def _scan(self) -> Scan:
        """Scan the disk in a thread. A scan that hangs is waited for; no second one is started."""
        if self._scanning is None or self._scanning.done():
            self._scanning = time_limit.start(self._store.scan)
        started = time.monotonic()
        try:
            scan = await time_limit.wait(self._scanning, self._limit_seconds)
        except TimeoutError:
            raise self._store.hung_error(self._limit_seconds) from None
        self._scan_seconds = time.monotonic() - started
        return scan

    async def _load(self, version: ModelVersion) -> None:
        """Read and load a version, or refuse it. An error of one version never affects others."""
        try:
            bundle = await self._read(version)
            if bundle.manifest.digest == self._state.served_digest(version):
                self._state.mark_served(version, bundle.manifest.digest)  # same content
            else:
                await self._loader.load(bundle)
                self._mark_served(version, bundle)
        except Exception as error:
            self._refuse(version, error)

    async def _read(self, version: ModelVersion) -> Bundle:
        reading = time_limit.start(partial(self._store.open, version))
        try:
            return await time_limit.wait(reading, self._limit_seconds)
        except TimeoutError:
            loop = asyncio.get_running_loop()
            reading.add_done_callback(
                lambda _: loop.call_soon_threadsafe(self._state.retry, version)
            )
            raise self._not_read() from None

    def _read_initial(self, version: ModelVersion) -> Bundle:
        reading = time_limit.start(partial(self._store.open, version))
        try:
            return reading.result(self._limit_seconds)
        except TimeoutError:
            raise self._not_read() from None

    def _not_read(self) -> BundleRefused:
        return BundleRefused(f"its files could not be read within {self._limit_seconds:g} s")

    def _mark_served(self, version: ModelVersion, bundle: Bundle) -> None:
        self._state.mark_served(version, bundle.manifest.digest)
        self._count_load("loaded")
        logger.info("loaded %s from %s", version, bundle.path)

    def _refuse(self, version: ModelVersion, error: Exception) -> None:
        reason = _reason(error)
        self._state.mark_refused(version, reason)
        self._count_load("refused")
        expected = isinstance(error, BundleError | ServiceError)
        logger.error("refused %s: %s", version, reason, exc_info=None if expected else error)

    def _publish(self) -> None:
        if (statuses := self._state.statuses()) != self._published:
            self._published = statuses
            self._loader.publish_statuses(statuses)

    def _log_skipped(self, skipped: dict[str, str]) -> None:
        """Log each directory once, and again if the reason changes."""
        for name, reason in skipped.items():
            if self._skipped.get(name) != reason:
                logger.warning(
                    "the models directory has %s, which is skipped: %s", ascii(name), reason
                )
        self._skipped = skipped

    def _log_error(self, text: str) -> None:
        """Log the same error once, not at every scan."""
        if text != self._error:
            logger.error("%s; the loaded models stay", text)
        self._error = text


def _reason(error: Exception) -> str:
    """Why a version is refused, for clients: it shows no path of the server."""
    if isinstance(error, BundleError):
        return error.reason
    if isinstance(error, ServiceError):
        return error.detail
    return f"it cannot be loaded: {type(error).__name__}"
