"""Log lines for people or, by ``--log-format json``, for machines; what they say of requests."""

import json
import logging
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from service.settings import Settings
from service.telemetry.outlet import Outlet
from service.telemetry.record import RequestRecord

EACH_SECOND: Final = 5  # refusals of one kind that are told of; of the others only the number

logger = logging.getLogger("service.requests")


def configure(settings: Settings) -> Outlet:
    """Log to standard error, with the process's number where several write there."""
    outlet = Outlet(sys.stderr.fileno())
    outlet.setFormatter(
        JsonFormatter() if settings.log_format == "json" else _human(settings.workers)
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[outlet])
    return outlet


def _human(workers: int) -> logging.Formatter:
    process = " [%(process)d]" if workers != 1 else ""
    return HumanFormatter(f"%(asctime)s %(levelname)s{process} %(name)s: %(message)s")


class HumanFormatter(logging.Formatter):
    """logging's own, but that a second is put into words once."""

    _second = -1
    _words = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Local time with milliseconds."""
        second = int(record.created)
        if second != self._second:
            self._words = time.strftime(datefmt or self.default_time_format, time.localtime(second))
            self._second = second
        return f"{self._words},{int(record.msecs):03d}"


class JsonFormatter(logging.Formatter):
    """One object a line. Texts are escaped, so that no client can write a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if isinstance(record.msg, RequestRecord):
            line |= record.msg.fields()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class RefusalLog:
    """Tells of requests that were refused or failed: a few of each kind a second.

    A flood of refusals must not become a flood of lines. What was left out is told as a number with
    the first line of a later second.
    """

    def __init__(self) -> None:
        self._second = 0
        self._told: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def __call__(self, visit: RequestRecord) -> None:
        """Log the visit, if it ended in an error and its kind has not had its share."""
        if visit.error is None:
            return
        kind = visit.error.kind
        self._turn_to(int(time.monotonic()))
        self._told[kind] += 1
        if self._told[kind] > EACH_SECOND:
            self._left_out[kind] += 1
            return
        level = logging.ERROR if visit.status == 500 else logging.INFO
        logger.log(level, visit._replace(left_out=self._left_out.pop(kind, 0)))

    def _turn_to(self, second: int) -> None:
        if second != self._second:
            self._second = second
            self._told.clear()


class AccessLog:
    """Tells of every request; for ``--access-log``.

    File, line, thread and process, which logging finds out for every line anew, take three times
    as long as all else of it: here a line has them from the first.
    """

    def __init__(self) -> None:
        self._common = vars(logger.makeRecord(logger.name, logging.INFO, __file__, 0, "", (), None))

    def __call__(self, visit: RequestRecord) -> None:
        if not logger.isEnabledFor(logging.INFO):
            return
        now = time.time()
        record = logging.LogRecord.__new__(logging.LogRecord)
        record.__dict__ |= self._common | {"msg": visit, "created": now, "msecs": now % 1 * 1000}
        logger.handle(record)
