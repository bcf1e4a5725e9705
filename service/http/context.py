"""What every request needs: one of each for the whole application."""

import asyncio
import itertools
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from service.errors import ServiceError
from service.http.auth import ApiKeys
from service.http.deadlines import Deadlines
from service.http.head import Headers, Parser
from service.http.limits import ByteBudget
from service.http.reply import CommonLines, Reply, problem, service_error
from service.http.shutdown import GracefulShutdown
from service.models.registry import ModelRegistry
from service.settings import Settings
from service.telemetry.logging import AccessLog, RefusalLog
from service.telemetry.metrics import Metrics
from service.telemetry.record import RequestObserver, RequestRecord
from service.telemetry.tracing import tracer

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestIds:
    """Gives each request its id: the client's X-Request-Id, or a new one."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6).encode()
        self._numbers = itertools.count()

    def of(self, headers: Headers) -> bytes:
        """The client's id goes into headers and logs, so only a harmless one is accepted."""
        given = headers.get(b"x-request-id")
        if given is not None and REQUEST_ID.fullmatch(given):
            return given
        return b"%b-%d" % (self._prefix, next(self._numbers))


class AppContext:
    """The parts that all requests of one application share."""

    def __init__(self, models: ModelRegistry, settings: Settings, metrics: Metrics) -> None:
        self.models = models
        self.settings = settings
        self.metrics = metrics
        self.api_keys = ApiKeys(key.get_secret_value() for key in settings.api_keys)
        self.admin_keys = ApiKeys(key.get_secret_value() for key in settings.admin_keys)
        self.parser = Parser(settings.max_head_bytes, settings.max_head_fields)
        self.request_ids = RequestIds()
        self.common_lines = CommonLines()
        self.budget = ByteBudget(settings.max_inflight_bytes)
        self.request_deadlines = Deadlines(tick_seconds=0.01)
        self.connection_deadlines = Deadlines(tick_seconds=0.5)
        self.shutdown = GracefulShutdown()
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="writer")  # of large replies
        self.timeout_seconds = settings.timeout_ms / 1000
        # More than any answer takes: requests have deadlines of their own.
        self.answer_seconds = self.timeout_seconds + settings.start_seconds
        self.max_body_bytes = settings.max_body_bytes
        self.server_timing = settings.server_timing
        self._log_rejection = RefusalLog()
        self.observers = _observers(settings)

    def reject(self, error: Exception, method: str, path: str) -> tuple[Reply, ServiceError]:
        """The reply to an error, which is counted. A bug is logged and hidden from the client."""
        rejected = service_error(error, method, path)
        self.metrics.count_rejected(rejected.kind)
        return problem(rejected), rejected

    def write_later(
        self, write: Callable[[], bytes], done: Callable[[bytes | Exception], None]
    ) -> None:
        """Write a large reply in a thread; ``done`` is called on the event loop with the result."""
        loop = asyncio.get_running_loop()

        def run() -> None:
            try:
                outcome: bytes | Exception = write()
            except Exception as error:
                outcome = error
            loop.call_soon_threadsafe(done, outcome)

        self.writer.submit(run)

    def observe(self, record: RequestRecord) -> None:
        """Log a request that was rejected or failed, and pass every request to the observers."""
        if record.error is not None:
            self._log_rejection(record)
        for observer in self.observers:
            observer(record)


def _observers(settings: Settings) -> tuple[RequestObserver, ...]:
    access = AccessLog() if settings.access_log else None
    return tuple(observer for observer in (access, tracer(settings)) if observer is not None)
