"""The server as a few numbers: what latencies its batching gives for any arrivals, without it.

One core takes turns. In a turn it reads every request that has come, runs their rows in batches,
and answers them; what comes meanwhile waits for the next turn. That is all of the batching: no
timer, and a batch is what queued while the last one ran.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.arrivals import Times


@dataclass(frozen=True)
class Line:
    """Seconds of the core: of a turn whatever is in it, of a request, of a batch and of its rows.

    ``request`` holds parsing, validation and the reply; ``fixed`` and ``per_row`` are the model's,
    the same line that the server itself measures when it loads one (``service/batching/latency.py``).
    """

    turn: float
    request: float
    fixed: float
    per_row: float
    max_rows: int = 256

    def seconds(self, requests: int, rows: int) -> float:
        """Of a turn with so many requests of ``rows`` rows each."""
        batches = -(-requests * rows // self.max_rows)
        return (
            self.turn
            + self.request * requests
            + self.fixed * batches
            + self.per_row * requests * rows
        )

    def capacity(self, connections: int, rows: int) -> float:
        """Requests a second at most, when each of the connections always has one under way."""
        return connections / self.seconds(connections, rows)


def fit(
    alone: float, together: float, *, connections: int, rows: int, calls: Sequence[float]
) -> Line:
    """The line through two measured capacities, of one connection and of many.

    ``calls`` are the model's seconds for a batch of one request's rows and for one of all
    connections'. Where one connection gains nothing by being alone, a turn costs nothing.
    """
    first, last = calls
    per_row = max(last - first, 0.0) / max((connections - 1) * rows, 1)
    fixed = max(first - per_row * rows, 0.0)
    one, each = 1 / alone - first, (connections / together - last) / connections
    turn = max((one - each) * connections / (connections - 1), 0.0)
    return Line(turn, max(one - turn, 0.0), fixed, per_row)


def simulate(due: Times, line: Line, *, connections: int, rows: int) -> Times:
    """Seconds from due to answered of each request.

    A client has ``connections``; a request that is due while all of them wait is sent when one is
    free, and counts from when it was due.
    """
    answered = np.empty_like(due)
    now, first = 0.0, 0
    while first < len(due):
        now = max(now, due[first])
        here = int(np.searchsorted(due, now, side="right")) - first
        taken = min(here, connections)
        now += line.seconds(taken, rows)
        answered[first : first + taken] = now
        first += taken
    return answered - due
