"""The limit of open files, which includes every connection.

Shells and service managers start processes with a soft limit of about a thousand, which a process
may raise. A process at its limit cannot accept connections, not even to reject a request.
"""

import resource
from typing import Final

RESERVE: Final = 128  # files of models, logs, listeners, and those that libraries open


def make_room(connections: int) -> int:
    """Raise the limit of this process and its children for so many connections.

    Returns how many connections fit: fewer if the hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + RESERVE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(connections, max(soft - RESERVE, 1))
