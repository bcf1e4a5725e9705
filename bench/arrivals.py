"""When requests come: at a constant rate, or in bursts. The load and the simulation share these."""

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
"""Seconds from the start, ascending."""


def arrivals(rate: float, seconds: float, burst: float = 1.0, seed: int = 0) -> Times:
    """Times of ``rate`` requests a second on average, for so many seconds; one at the least.

    With ``burst`` 1 they come evenly. Above, bursts come at random, as a Poisson process, and all
    requests of a burst at once; its size is geometric with mean ``burst``: a few are much larger.
    """
    if burst <= 1:
        return np.arange(max(1, int(rate * seconds))) / rate
    random = np.random.default_rng(seed)
    count = max(1, int(rate / burst * seconds))
    starts = np.cumsum(random.exponential(burst / rate, count))
    return np.repeat(starts, random.geometric(1 / burst, count))
