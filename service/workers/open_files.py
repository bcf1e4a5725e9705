"""Open files, of which every connection is one.

Shells and service managers start processes with a thousand or so, and let them ask for more. Beyond
its limit a process can accept nobody, not even to refuse.
"""

import resource
from typing import Final

RESERVE: Final = 128  # files of models, logs, listeners, and what libraries open


def make_room(connections: int) -> int:
    """Raise this process's limit for so many connections, and its children's.

    Returns how many fit, which is fewer where the hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + RESERVE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(connections, max(soft - RESERVE, 1))
