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
from struct import Struct
from typing import Final, NamedTuple

logger = logging.getLogger(__name__)

Adopt = Callable[[socket.socket], None]
AWAKE_SECONDS: Final = 0.5  # one that was silent for longer may hang, and gets nothing


class State(NamedTuple):
    """What a worker has written of itself; ``beat`` is of the monotonic clock, which all share."""

    connections: int
    beat: float


class Board:
    """The states of all slots, in a file that all workers map."""

    ENTRY: Final = Struct("=qd")

    def __init__(self, path: Path, slots: int) -> None:
        with path.open("a+b") as file:
            file.truncate(slots * self.ENTRY.size)
            self._map = mmap.mmap(file.fileno(), 0)
        self.slots = slots

    def read(self, slot: int) -> State:
        return State(*self.ENTRY.unpack_from(self._map, slot * self.ENTRY.size))

    def write(self, slot: int, state: State) -> None:
        self.ENTRY.pack_into(self._map, slot * self.ENTRY.size, *state)


def choose(board: Board, slot: int, connections: int, now: float) -> int | None:
    """Where one of the ``connections`` of ``slot`` goes: to the emptiest slot that is awake, if it
    then has no more than this one.
    """
    others = [
        (state.connections, other)
        for other in range(board.slots)
        if other != slot and (state := board.read(other)).beat > now - AWAKE_SECONDS
    ]
    fewest, emptiest = min(others, default=(math.inf, None))
    return emptiest if fewest + 1 < connections else None


class WorkerNeighbours:
    """Those of the worker in ``slot``. Connections travel as messages between sockets in the
    supervisor's directory, where nobody else can write.
    """

    def __init__(self, directory: Path, slot: int, slots: int) -> None:
        self._directory = directory
        self._slot = slot
        self._board = Board(directory / "board", slots)
        self._connections = 0
        self._beat = -math.inf  # until there is somebody to take what is passed on
        self._takes = False
        self._write()
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
        self._connections = connections
        self._write()

    def beat(self) -> None:
        if self._takes:
            self._beat = time.monotonic()
            self._write()

    def offer(self, connection: int) -> bool:
        other = choose(self._board, self._slot, self._connections, time.monotonic())
        if other is None:
            return False
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [connection]))
        try:
            self._mailbox.sendmsg([b"\0"], [rights], 0, str(self._path(other)))
        except OSError:  # that one has ended, or has much to take already
            return False
        state = self._board.read(other)  # until it counts by itself
        self._board.write(other, state._replace(connections=state.connections + 1))
        return True

    def leave(self) -> None:
        self._takes = False
        self._beat = -math.inf
        self._write()

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

    def _write(self) -> None:
        self._board.write(self._slot, State(self._connections, self._beat))

    def _path(self, slot: int) -> Path:
        return self._directory / f"mailbox-{slot}"
