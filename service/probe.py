"""``python -m service.probe``: exit status 0 if the service of this container is ready.

For the health check of an image without curl. It finds the service by the variables that configure
it; reading all settings would take many times as long as the request.
"""

import http.client
import os
import ssl
import sys
from collections.abc import Mapping
from typing import Final

from service.environment import is_service_link

TIMEOUT_SECONDS: Final = 2.5
LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def is_ready(environment: Mapping[str, str]) -> bool:
    """Whether /health/ready answers 200 at VAE_HOST and VAE_PORT, by TLS if VAE_TLS_CERT is set."""
    host = environment.get("VAE_HOST", "127.0.0.1")
    port = environment.get("VAE_PORT", "8000")
    address = LOOPBACK.get(host, host), 8000 if is_service_link(port) else int(port)
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT_SECONDS)
    if "VAE_TLS_CERT" in environment:
        # The certificate names another host, and this connection does not leave the machine.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(*address, timeout=TIMEOUT_SECONDS, context=context)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_ready(os.environ) else 1)
