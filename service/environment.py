"""The environment that the process is started in: its variables and its standard streams."""

import os
import re
from collections.abc import Mapping
from typing import Final

SERVICE_LINK: Final = re.compile(r"(tcp|udp|sctp)://")


def is_service_link(value: str) -> bool:
    """Whether Kubernetes set a variable to this value for a Service.

    For a Service named ``vae`` it sets ``VAE_PORT=tcp://10.0.0.1:80``.
    """
    return SERVICE_LINK.match(value) is not None


def service_links(environment: Mapping[str, str]) -> list[str]:
    """The variables named VAE_* with such a value, sorted."""
    return sorted(
        name
        for name, value in environment.items()
        if name.startswith("VAE_") and is_service_link(value)
    )


def open_standard_streams() -> None:
    """Open /dev/null in place of standard streams that were closed when the process started.

    Otherwise a socket would get the number 0, 1 or 2; libuv aborts when it closes one of these.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
