"""How a request comes in: what a client may send, and how long it may take to.

Decided by bytes and seconds alone; ``protocol.py`` asks when data come and when the time that was
given here is over. A request that arrives in one piece never needs one of these.
"""

from typing import Final, Protocol

from service.errors import HeadTooLarge, ReceiptTimeout

UNWANTED_BYTES: Final = 2**20


class Limits(Protocol):
    """Settings has these."""

    @property
    def max_head_bytes(self) -> int: ...
    @property
    def max_head_fields(self) -> int: ...
    @property
    def head_seconds(self) -> float: ...
    @property
    def body_seconds(self) -> float: ...
    @property
    def min_body_rate(self) -> int: ...


class RequestLimits:
    """One request that is coming in; times are of the monotonic clock."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._began = now
        self._in_body = False
        self._received = 0  # bytes of the head, then of the body

    @property
    def deadline(self) -> float:
        """When what is missing must be here. A body that keeps the least rate has longer."""
        limits = self._limits
        if not self._in_body:
            return self._began + limits.head_seconds
        return self._began + max(limits.body_seconds, self._received / limits.min_body_rate)

    @property
    def in_head(self) -> bool:
        return not self._in_body

    @property
    def unwanted(self) -> bool:
        """Whether more of a body has come than anybody reads who was answered without it."""
        return self._in_body and self._received > UNWANTED_BYTES

    def add(self, count: int) -> None:
        """So many bytes more of what is coming. Raises HeadTooLarge for an endless head."""
        self._received += count
        if self.in_head and self._received > self._limits.max_head_bytes:
            raise self._head_too_large(f"{self._received} bytes or more")

    def end_head(self, size: int, fields: int, now: float) -> None:
        """The head is whole: so many bytes, so many headers. Raises HeadTooLarge."""
        self._began, self._in_body, self._received = now, True, 0
        if size > self._limits.max_head_bytes or fields > self._limits.max_head_fields:
            raise self._head_too_large(f"{size} bytes, {fields} headers")

    def timeout(self) -> ReceiptTimeout:
        """The error for a deadline that has passed."""
        limits = self._limits
        if not self._in_body:
            return ReceiptTimeout(
                "the head of the request did not come in time",
                expected=f"all of it in {limits.head_seconds:g} s",
            )
        return ReceiptTimeout(
            "the body of the request did not come in time",
            expected=f"all of it in {limits.body_seconds:g} s, or {limits.min_body_rate} bytes/s",
            given=f"{self._received} bytes",
        )

    def _head_too_large(self, given: str) -> HeadTooLarge:
        limits = self._limits
        return HeadTooLarge(
            "the head of the request is too large",
            expected=f"at most {limits.max_head_bytes} bytes and {limits.max_head_fields} headers",
            given=given,
        )
