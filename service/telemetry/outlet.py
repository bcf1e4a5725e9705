"""Log lines on their way out, by a thread: who logs does not wait for who reads.

A pipe holds some 64 KiB. Once it is full, whoever writes waits for its reader, and that must not be
the event loop.
"""

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from typing import Final

MOST_LINES: Final = 10_000  # that wait; some megabytes
REST_SECONDS: Final = 0.01  # between writes: to wake the thread for each line costs more than lines
AT_ONCE: Final = 4096  # bytes that Linux writes to a pipe in one piece, whoever else writes there
LAST_SECONDS: Final = 1.0  # for what waits when the process ends
END: Final = b""


class Outlet(logging.Handler):
    """Writes to a descriptor. ``dropped`` lines were left out or could not be written.

    Lines are left out while MOST_LINES wait, and from then on until half of them are written, so
    that there is one gap and not thousands; the first line after it says how many.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._gap = 0  # lines left out since the last that was taken
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have a line written, or leave it out; never wait."""
        if self._lines.qsize() >= (MOST_LINES // 2 if self._gap else MOST_LINES):
            self.dropped += 1
            self._gap += 1
            return
        self._tell_of_gap()
        self._put(record)

    def close(self) -> None:
        """Have what waits written, but for no longer than LAST_SECONDS; Python calls it at exit."""
        self._tell_of_gap()
        self._lines.put(END)
        self._thread.join(LAST_SECONDS)
        super().close()

    def _tell_of_gap(self) -> None:
        if self._gap:
            text = f"{self._gap} lines are left out here: nobody read those before them"
            self._gap = 0
            self._put(logging.LogRecord(__name__, logging.WARNING, "", 0, text, None, None))

    def _put(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
        else:
            self._lines.put(line.encode(errors="backslashreplace") + b"\n")

    def _write_all(self) -> None:
        lines: list[bytes] = []
        while END not in lines:
            lines = [self._lines.get()]
            time.sleep(REST_SECONDS)
            lines += [self._lines.get() for _ in range(self._lines.qsize())]
            for piece in pieces(lines):
                self._write(piece)

    def _write(self, piece: bytes) -> None:
        try:
            while piece:
                piece = piece[os.write(self._descriptor, piece) :]
        except OSError:  # its reader is gone, or the disk is full
            self.dropped += piece.count(b"\n")


def pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, as many of them together as are written in one piece."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > AT_ONCE:
            yield piece
            piece = b""
        piece += line
    yield piece
