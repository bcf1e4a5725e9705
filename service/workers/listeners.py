"""The listening sockets: one for each address of the host, and of each for every worker.

The kernel spreads new connections over the sockets of a port (SO_REUSEPORT). If all workers shared
one socket, the worker that is awake already would take nearly all connections that come one by one.
"""

import asyncio
import errno
import os
import socket
import time
from typing import Final

from service.settings import Settings

POLL_SECONDS: Final = 0.1


class CannotListen(Exception):
    """The service cannot listen on an address; the message says which and why."""


def format_address(host: str, port: int) -> str:
    """``host:port`` as in a URL, with IPv6 addresses in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url(settings: Settings, port: int) -> str:
    """The address that the service listens on."""
    scheme = "https" if settings.tls_cert else "http"
    return f"{scheme}://{format_address(settings.host, port)}"


def bind(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Sockets on every address of the host, which do not listen yet; one free port for port 0.

    An empty host is every IPv4 and IPv6 address of the machine, ``::`` every IPv6 address. Raises
    CannotListen.
    """
    try:
        return _bind(host, port, reuse_port=reuse_port)
    except OSError as error:
        raise _cannot_listen(host, port, error) from None


class Listeners:
    """The sockets of every slot of a service with several workers, on one host and port."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._sockets: dict[int, list[socket.socket]] = {}

    async def find_port(self, wait_seconds: float = 0.0) -> int:
        """The port, or a free one for port 0.

        Raises CannotListen if another server listens there, although SO_REUSEPORT might share the
        port with it, and still does so after ``wait_seconds``: the workers of a supervisor that was
        killed need a moment to leave.
        """
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                sockets = _bind(self._host, self._port, reuse_port=False)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                    raise _cannot_listen(self._host, self._port, error) from None
                await asyncio.sleep(POLL_SECONDS)
            else:
                self._port = sockets[0].getsockname()[1]
                _close(sockets)
                return self._port

    def open(self, slot: int) -> tuple[int, ...]:
        """File descriptors of the slot's sockets. Raises CannotListen.

        They do not listen yet, so that no client connects before a worker can answer. They stay
        open when a worker ends, and keep the connections that arrive for the next worker.
        """
        if slot not in self._sockets:
            self._sockets[slot] = bind(self._host, self._port, reuse_port=True)
        return tuple(listener.fileno() for listener in self._sockets[slot])

    def close(self, slot: int) -> None:
        """Close the slot's sockets, so that new connections go to the other slots."""
        _close(self._sockets.pop(slot, []))

    def close_all(self) -> None:
        """Close the sockets of all slots."""
        for slot in list(self._sockets):
            self.close(slot)


def _bind(host: str, port: int, *, reuse_port: bool) -> list[socket.socket]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            if listener := _socket(family):
                sockets.append(listener)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
                if reuse_port:
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                if family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listener.bind((address[0], port, *address[2:]))
                port = listener.getsockname()[1]  # the same for every address if it was 0
    except OSError:
        _close(sockets)
        raise
    return sockets


def _socket(family: int) -> socket.socket | None:
    """A TCP socket, or None if the kernel has no such protocol, as with IPv6 switched off."""
    try:
        return socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return None
        raise


def _close(sockets: list[socket.socket]) -> None:
    for listener in sockets:
        listener.close()


def _cannot_listen(host: str, port: int, error: OSError) -> CannotListen:
    return CannotListen(f"cannot listen on {format_address(host, port)}: {error.strerror}")
