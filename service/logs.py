"""Log lines for people or, by ``--log-format json``, for machines; what they say of requests."""

import json
import logging
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from service.outlet import Outlet
from service.settings import Settings
from service.visit import Visit

EACH_SECOND: Final = 5  # refusals of one kind that are told of; of the others only the number
FIELDS: Final = "fields"  # the attribute of a log record that holds what is not text

logger = logging.getLogger("service.requests")


def configure(settings: Settings) -> Outlet:
    """Log to standard error, with the process's number where several write there."""
    outlet = Outlet(sys.stderr.fileno())
    outlet.setFormatter(_json() if settings.log_format == "json" else _human(settings.workers))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[outlet])
    return outlet


def _human(workers: int) -> logging.Formatter:
    process = " [%(process)d]" if workers != 1 else ""
    return logging.Formatter(f"%(asctime)s %(levelname)s{process} %(name)s: %(message)s")


def _json() -> logging.Formatter:
    return JsonFormatter()


class JsonFormatter(logging.Formatter):
    """One object a line. Texts are escaped, so that no client can write a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
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

    def __call__(self, visit: Visit) -> None:
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
        logger.log(level, _sentence(visit), extra={FIELDS: self._fields(visit, kind)})

    def _turn_to(self, second: int) -> None:
        if second != self._second:
            self._second = second
            self._told.clear()

    def _fields(self, visit: Visit, kind: str) -> dict[str, Any]:
        left_out = self._left_out.pop(kind, 0)
        return {**fields(visit), **({"left_out": left_out} if left_out else {})}


class AccessLog:
    """Tells of every request; for ``--access-log``."""

    def __call__(self, visit: Visit) -> None:
        logger.info(_sentence(visit), extra={FIELDS: fields(visit)})


def fields(visit: Visit) -> dict[str, Any]:
    """A visit as members of a JSON object; times in milliseconds."""
    found: dict[str, Any] = {
        "op": visit.op,
        "model": visit.label or None,
        "status": visit.status,
        "request_id": visit.request_id,
        "ms": round(1000 * visit.seconds, 3),
        "queue_ms": round(1000 * visit.queue_seconds, 3),
        "compute_ms": round(1000 * visit.compute_seconds, 3),
    }
    if visit.error is not None:
        found |= {"reason": visit.error.kind, "detail": visit.error.detail[:200]}
    return found


def _sentence(visit: Visit) -> str:
    model = f" {visit.label}" if visit.label else ""
    reason = f": {visit.error.detail[:200]!r}" if visit.error is not None else ""
    took = f"{1000 * visit.seconds:.1f} ms"
    return f"{visit.status} {visit.op}{model} in {took}, request {visit.request_id}{reason}"
