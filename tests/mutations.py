"""Inputs that are nearly right: mutations of whole ones, the same for the same seed."""

import random
import re
import signal
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

SLOWEST_SECONDS = 1.0  # of CPU time, for any one input
HANGS_AFTER = 60  # seconds
LENGTHS = [0, 1, 7, 8, 255, 2**16, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1]


class Mutator:
    """Whole inputs with one to four changes, half of them with their checksums made right again.

    ``tokens`` are what the format is made of; without ``repair`` nothing is made right.
    """

    def __init__(
        self,
        wholes: Sequence[bytes],
        tokens: Sequence[bytes],
        repair: Callable[[bytes], bytes] = bytes,
        seed: int = 0,
    ) -> None:
        self._wholes = wholes
        self._tokens = tokens
        self._repair = repair
        self._random = random.Random(seed)
        self._changes = (
            self._flip,
            self._cut,
            self._double,
            self._insert,
            self._overwrite,
            self._claim_length,
            self._splice,
        )

    def __iter__(self) -> Iterator[bytes]:
        draw = self._random
        while True:
            data = bytearray(draw.choice(self._wholes))
            for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 4))):
                draw.choice(self._changes)(data)
            yield self._repair(bytes(data)) if draw.random() < 0.5 else bytes(data)

    def _place(self, data: bytearray) -> int:
        return self._random.randint(0, len(data))

    def _span(self, data: bytearray) -> slice:
        start = self._place(data)
        return slice(start, start + self._random.choice((1, 2, 4, 16, len(data))))

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _cut(self, data: bytearray) -> None:
        del data[self._span(data)]

    def _double(self, data: bytearray) -> None:
        place = self._place(data)
        data[place:place] = data[self._span(data)]

    def _insert(self, data: bytearray) -> None:
        place = self._place(data)
        data[place:place] = self._random.choice(self._tokens)

    def _overwrite(self, data: bytearray) -> None:
        token, place = self._random.choice(self._tokens), self._place(data)
        data[place : place + len(token)] = token

    def _claim_length(self, data: bytearray) -> None:
        length, place = self._random.choice(LENGTHS), self._place(data)
        form = self._random.choice(("<Q", ">I", "<H"))
        claim = struct.pack(form, length % 2 ** (8 * struct.calcsize(form)))
        data[place : place + len(claim)] = claim

    def _splice(self, data: bytearray) -> None:
        other = self._random.choice(self._wholes)
        data[self._place(data) :] = other[self._random.randint(0, len(other)) :]


def repair_png(data: bytes) -> bytes:
    """The right CRC after every chunk that is all there (PNG specification, 5.3)."""
    repaired, place = bytearray(data), 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", repaired, end, zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(repaired)


def repair_npy(data: bytes) -> bytes:
    """The header's right length, where its end can be found."""
    end = data.find(b"\n", 10)
    return data if end < 0 else data[:8] + struct.pack("<H", (end - 9) % 2**16) + data[10:]


def repair_safetensors(data: bytes) -> bytes:
    """The header's right length, where its end can be found."""
    end = data.rfind(b"}}")
    return data if end < 0 else struct.pack("<Q", max(0, end - 6)) + data[8:]


def repair_length(data: bytes) -> bytes:
    """The right Content-Length of a request that has one."""
    head, separator, body = data.partition(b"\r\n\r\n")
    length = b"Content-Length: %d" % len(body)
    return re.sub(rb"Content-Length: \d+", length, head, count=1) + separator + body


@contextmanager
def bounded() -> Iterator[None]:
    """Raises, where it happens, when what is in it hangs."""

    def hang(*given: Any) -> None:
        raise AssertionError("this hangs")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(HANGS_AFTER)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attack(
    inputs: Iterator[bytes],
    count: int,
    read: Callable[[bytes], Any],
    refusal: type[Exception],
) -> Counter[str]:
    """Read so many inputs; how many were read, and how many refused with which error.

    Whatever else is raised goes on to the caller, with the input in a note.
    """
    outcome: Counter[str] = Counter()
    for _ in range(0, count, 1000):
        with bounded():
            for _ in range(min(1000, count)):
                outcome[_read_one(next(inputs), read, refusal)] += 1
    return outcome


def _read_one(data: bytes, read: Callable[[bytes], Any], refusal: type[Exception]) -> str:
    started = time.process_time()
    try:
        read(data)
        result = "read"
    except refusal as error:
        result = type(error).__name__
    except BaseException as error:
        error.add_note(f"the input was {data!r}")
        raise
    assert time.process_time() - started < SLOWEST_SECONDS, data
    return result
