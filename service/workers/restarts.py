"""When a worker that ended is replaced."""

from dataclasses import dataclass
from typing import Final

STEADY_SECONDS: Final = 1.0
FIRST_DELAY: Final = 0.25
LONGEST_DELAY: Final = 30.0
GIVE_UP_AFTER: Final = 5


@dataclass
class Restarts:
    """What became of the workers of one slot, one after the other, and when the next may start.

    One that served for STEADY_SECONDS is replaced at once. Others wait, each twice as long as the
    one before, up to LONGEST_DELAY: what fails at every start shall not take the CPUs.
    """

    in_vain: int = 0  # workers in a row that did not serve for STEADY_SECONDS

    def delay(self, served: float) -> float:
        """Seconds to wait after a worker that served for ``served`` seconds; 0 if it never did."""
        if served >= STEADY_SECONDS:
            self.in_vain = 0
            return 0.0
        self.in_vain += 1
        return min(FIRST_DELAY * 2.0 ** (self.in_vain - 1), LONGEST_DELAY)

    @property
    def hopeless(self) -> bool:
        """So many in vain that the next is unlikely to do better."""
        return self.in_vain >= GIVE_UP_AFTER
