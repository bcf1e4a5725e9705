"""Limits on what clients make the server hold in memory, and on how slowly they send."""

from typing import Final

from service.errors import QueueFull, ReceiptTimeout, TooLarge

RETRY_SECONDS: Final = 1.0
RATE_SECONDS: Final = 5.0


class ByteBudget:
    """Bytes of all requests and replies under way in this process, at most ``limit``."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def reserve(self, count: int) -> None:
        """Raises QueueFull if ``count`` bytes more would exceed the limit."""
        if self.used + count > self.limit:
            raise QueueFull(
                f"requests and replies under way hold {self.used} of {self.limit} bytes; "
                f"{count} more do not fit",
                retry_after=RETRY_SECONDS,
            )
        self.used += count

    def release(self, count: int) -> None:
        self.used -= count
        if self.used < 0:
            raise AssertionError(f"{self.used} bytes are reserved. This is a bug.")


class BodyRate:
    """Whether a body is received fast enough. Times are of the monotonic clock, in seconds.

    A body has ``seconds``. After that it must bring ``min_rate`` bytes a second in each of the
    periods that follow: what came before a pause does not pay for the pause.
    """

    def __init__(self, seconds: float, min_rate: int, now: float) -> None:
        self._seconds = seconds
        self._min_rate = min_rate
        self._period = min(seconds, RATE_SECONDS)
        self._period_bytes = 0
        self.received = 0
        self.deadline = now + seconds

    def add(self, count: int) -> None:
        self.received += count
        self._period_bytes += count

    def check(self, now: float) -> None:
        """Begin a further period. Raises ReceiptTimeout if the last one brought too little."""
        if self._period_bytes < self._min_rate * self._period:
            raise ReceiptTimeout(
                "the body of the request is received too slowly",
                expected=f"all of it in {self._seconds:g} s, or {self._min_rate} bytes/s",
                given=f"{self.received} bytes, {self._period_bytes} in the last period",
            )
        self._period_bytes = 0
        self.deadline = now + self._period


def too_large(given: int, max_bytes: int) -> TooLarge:
    """The error for a body over the limit."""
    return TooLarge("the body is too large", expected=f"at most {max_bytes} bytes", given=given)
