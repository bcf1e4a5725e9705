"""How long the supervisor waits before it replaces a worker that ended."""

from dataclasses import dataclass
from typing import Final

STEADY_SECONDS: Final = 1.0
FIRST_DELAY: Final = 0.25
LONGEST_DELAY: Final = 30.0
MAX_FAILURES: Final = 5


@dataclass
class RestartDelay:
    """The delays of one slot (exponential backoff).

    A worker that served for STEADY_SECONDS is replaced at once. After a worker that served for a
    shorter time the delay doubles, from FIRST_DELAY up to LONGEST_DELAY: workers that fail at every
    start must not take the CPUs from the others.
    """

    failures: int = 0  # workers in a row that served for less than STEADY_SECONDS

    def after(self, served_seconds: float) -> float:
        """Seconds until the next start, after a worker that served so long; 0.0 if it never did."""
        if served_seconds >= STEADY_SECONDS:
            self.failures = 0
            return 0.0
        self.failures += 1
        return min(FIRST_DELAY * 2.0 ** (self.failures - 1), LONGEST_DELAY)

    @property
    def has_failed(self) -> bool:
        """Whether MAX_FAILURES workers in a row failed, so that the next is unlikely to serve."""
        return self.failures >= MAX_FAILURES
