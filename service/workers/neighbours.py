"""A worker among the others: whose connections are fewest, and how one gets there.

Linux deals out connections by chance (see listeners.py). Of four, all come to the same of two
workers once in eight times, and stay for as long as their clients keep them. So a worker that got
one while another has fewer passes it on, before a byte of it is read. All that they share is a
board: a file in memory with the number of connections of each, and when it was last awake.
"""

import array
import asyncio
import logging
import math
import mmap
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Adopt = Callable[[socket.socket], None]
AWAKE_SECONDS: Final = 0.5  # one that was silent for longer may hang, and gets nothing


class Board:
    """What the workers know of each other, in a file that all of them map; a row or number a slot.

    ``beats`` are of the monotonic clock, which all share. ``sent`` counts the connections that a
    slot (row) has passed to another (column), and ``taken`` those that have got there: what is on
    the way is counted as being there, or workers that fill at once would pass all to each other.
    Every number has one writer.
    """

    def __init__(self, path: Path, slots: int) -> None:
        cells = slots * (slots + 3)
        with path.open("a+b") as file:
            file.truncate(8 * cells)
            memory = mmap.mmap(file.fileno(), 0)
        counts = np.frombuffer(memory, np.int64)
        self.connections, self.taken, beats, sent = np.split(counts, [slots, 2 * slots, 3 * slots])
        self.beats = beats.view(np.float64)
        self.sent = sent.reshape(slots, slots)

    def loads(self) -> NDArray[np.int64]:
        """Connections of each slot, those on the way to it included."""
        loads: NDArray[np.int64] = self.connections + self.sent.sum(axis=0) - self.taken
        return loads

    def begin(self, slot: int) -> None:
        """A new worker in this slot: it has nothing, and what was on the way is gone."""
        self.connections[slot] = 0
        self.taken[slot] = self.sent[:, slot].sum()
        self.beats[slot] = -math.inf


def choose(board: Board, slot: int, now: float) -> int | None:
    """Where a connection of ``slot`` goes: to the emptiest slot that is awake, if it then has no
    more than this one.
    """
    awake = board.beats > now - AWAKE_SECONDS
    awake[slot] = False
    loads = board.loads()
    emptiest = int(np.argmin(np.where(awake, loads, np.iinfo(np.int64).max)))
    return emptiest if awake[emptiest] and loads[emptiest] + 1 < loads[slot] else None


class WorkerNeighbours:
    """Those of the worker in ``slot``. Connections travel as messages between sockets in the
    supervisor's directory, where nobody else can write.
    """

    def __init__(self, directory: Path, slot: int, slots: int) -> None:
        self._directory = directory
        self._slot = slot
        self._board = Board(directory / "board", slots)
        self._board.begin(slot)
        self._takes = False  # until there is somebody to take what is passed on
        self._mailbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._mailbox.setblocking(False)

    def open(self, adopt: Adopt) -> None:
        path = self._path(self._slot)
        path.unlink(missing_ok=True)  # of the worker that was here before
        try:
            self._mailbox.bind(str(path))
        except OSError as error:  # a path can be too long for a socket
            logger.warning("connections stay with the worker that they come to: %s", error)
            return
        self._adopt = adopt
        self._takes = True
        asyncio.get_running_loop().add_reader(self._mailbox, self._take)
        self.beat()

    def count(self, connections: int) -> None:
        self._board.connections[self._slot] = connections

    def beat(self) -> None:
        if self._takes:
            self._board.beats[self._slot] = time.monotonic()

    def offer(self, connection: socket.socket) -> bool:
        other = choose(self._board, self._slot, time.monotonic())
        if other is None:
            return False
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [connection.fileno()]))
        try:
            self._mailbox.sendmsg([b"\0"], [rights], 0, str(self._path(other)))
        except OSError:  # that one has ended, or has much to take already
            return False
        self._board.sent[self._slot, other] += 1
        return True

    def took(self) -> None:
        self._board.taken[self._slot] += 1

    def leave(self) -> None:
        self._takes = False
        self._board.beats[self._slot] = -math.inf

    def close(self) -> None:
        if asyncio.get_running_loop().remove_reader(self._mailbox):
            self._take()
        self._mailbox.close()

    def _take(self) -> None:
        room = socket.CMSG_SPACE(array.array("i").itemsize)
        with suppress(BlockingIOError):
            while True:
                _, ancillary, _, _ = self._mailbox.recvmsg(1, room)
                for _, _, rights in ancillary:
                    self._adopt(socket.socket(fileno=array.array("i", rights)[0]))

    def _path(self, slot: int) -> Path:
        return self._directory / f"mailbox-{slot}"
