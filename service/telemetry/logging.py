"""Log lines on standard error, as text or as JSON, and which requests are logged.

The thread that logs formats a line and puts it into a bounded queue; another thread writes it. The
event loop therefore never waits for whatever reads the log.
"""

import json
import logging
import os
import queue
import re
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Any, Final

from service.settings import Settings
from service.telemetry.record import RequestRecord

MAX_QUEUED_LINES: Final = 10_000  # some megabytes
FLUSH_SECONDS: Final = 1.0  # for the lines that are queued when the process ends
MAX_ERRORS_PER_SECOND: Final = 5  # of one kind that are logged; the others are counted
CONTROL_CHARACTERS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

logger = logging.getLogger("service.requests")


def configure(settings: Settings) -> "LogQueue":
    """Log to standard error in the format and from the level of the settings.

    Human-readable lines name the process if several processes write to the same log.
    """
    lines = LogQueue(sys.stderr.fileno())
    lines.setFormatter(_formatter(settings))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[lines])
    return lines


def escape(text: str) -> str:
    """The text with every control character and line separator replaced by its escape sequence."""
    return CONTROL_CHARACTERS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _formatter(settings: Settings) -> logging.Formatter:
    if settings.log_format == "json":
        return JsonFormatter()
    process = " [%(process)d]" if settings.workers != 1 else ""
    return HumanFormatter(f"%(asctime)s %(levelname)s{process} %(name)s: %(message)s")


class LogQueue(QueueHandler):
    """Formats log lines and queues them for a thread that writes them to ``descriptor``.

    A line is dropped if the queue is full; ``dropped`` counts these lines and those that could not
    be written.
    """

    def __init__(self, descriptor: int, max_lines: int = MAX_QUEUED_LINES) -> None:
        self._lines: queue.Queue[Any] = queue.Queue(max_lines)
        super().__init__(self._lines)
        self._rejected = 0
        self._writer = LogWriter(self._lines, descriptor)
        self._writer.start()

    @property
    def dropped(self) -> int:
        """Lines that were not written."""
        return self._rejected + self._writer.failed

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a formatted record, or drop it if the queue is full."""
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self._rejected += 1

    def close(self) -> None:
        """Wait at most FLUSH_SECONDS until the queued lines are written.

        ``logging`` calls it at exit. The thread that writes is not joined: it may wait for a pipe
        that nobody reads.
        """
        done = self._lines.all_tasks_done
        with done:
            done.wait_for(lambda: not self._lines.unfinished_tasks, FLUSH_SECONDS)
        super().close()


class LogWriter(QueueListener):
    """Writes queued lines to a file descriptor, in a thread. ``failed`` counts lines that it lost.

    It writes to the descriptor and not to ``sys.stderr``, whose lock would make the end of the
    process wait as long as the thread does.
    """

    def __init__(self, lines: "queue.Queue[Any]", descriptor: int) -> None:
        super().__init__(lines)
        self.failed = 0
        self._descriptor = descriptor

    def handle(self, record: logging.LogRecord) -> None:
        """Write one line, whose text ``QueueHandler`` formatted."""
        line = record.msg.encode(errors="backslashreplace") + b"\n"
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError:  # the reader has closed the pipe, or the disk is full
            self.failed += 1


class HumanFormatter(logging.Formatter):
    """Text lines. Messages are escaped and tracebacks indented: no text can forge a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line of a record, without its traceback."""
        return escape(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback, each line indented."""
        return "\n".join(f"  {escape(line)}" for line in super().formatException(ei).split("\n"))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: JSON escapes every control character."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; RequestRecord adds its own fields."""
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
    """Logs requests that ended in an error, at most MAX_ERRORS_PER_SECOND of each kind.

    A flood of rejected requests must not become a flood of lines. The next line of a kind says how
    many requests of that kind were left out before it.
    """

    def __init__(self) -> None:
        self._second = 0
        self._logged: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def __call__(self, record: RequestRecord) -> None:
        """Log the request if it ended in an error and the limit of its kind is not reached."""
        if record.error is None:
            return
        kind = record.error.kind
        self._begin_second(int(time.monotonic()))
        self._logged[kind] += 1
        if self._logged[kind] > MAX_ERRORS_PER_SECOND:
            self._left_out[kind] += 1
            return
        level = logging.ERROR if record.status == 500 else logging.INFO
        logger.log(level, record._replace(left_out=self._left_out.pop(kind, 0)))

    def _begin_second(self, second: int) -> None:
        if second != self._second:
            self._second = second
            self._logged.clear()


class AccessLog:
    """Logs every request; for ``--access-log``."""

    def __call__(self, record: RequestRecord) -> None:
        """Log one request that is over."""
        logger.info(record)
