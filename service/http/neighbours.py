"""What a connection asks of the other processes that serve on its port."""

import socket
from collections.abc import Callable
from typing import Final, Protocol


class Neighbours(Protocol):
    """Who may take over a connection, so that none has many while another has few."""

    def open(self, adopt: Callable[[socket.socket], None]) -> None:
        """From now on take what others pass on, on the running event loop."""

    def count(self, connections: int) -> None:
        """Let the others know of how many connections there are here."""

    def beat(self) -> None:
        """Let the others know that somebody is awake here."""

    def offer(self, connection: socket.socket) -> bool:
        """Whether another process got this connection, for it has fewer."""

    def took(self) -> None:
        """One that was passed on is counted here from now on, or gone."""

    def leave(self) -> None:
        """Be passed nothing more."""

    def close(self) -> None:
        """Adopt what is still on the way, and stop."""


class Nobody:
    """The neighbours of a process that serves alone."""

    def open(self, adopt: Callable[[socket.socket], None]) -> None: ...

    def count(self, connections: int) -> None: ...

    def beat(self) -> None: ...

    def offer(self, connection: socket.socket) -> bool:  # noqa: ARG002 (there is nobody)
        return False

    def took(self) -> None: ...

    def leave(self) -> None: ...

    def close(self) -> None: ...


NOBODY: Final = Nobody()
