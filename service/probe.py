"""``python -m service.probe``: status 0 when the service of this container is ready.

For a health check in an image without curl. It finds the service by the variables that a container
is configured with; reading all settings would cost more than the question.
"""

import http.client
import os
import ssl
import sys
from collections.abc import Mapping
from typing import Final

TIMEOUT_SECONDS: Final = 2.5


def is_ready(environment: Mapping[str, str]) -> bool:
    """Whether /health/ready answers 200 on this host, at VAE_PORT, by TLS where VAE_TLS_CERT is."""
    port = int(environment.get("VAE_PORT", "8000"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    if "VAE_TLS_CERT" in environment:
        # The certificate is made out to another name, and who answers here is not in question.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=TIMEOUT_SECONDS, context=context
        )
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_ready(os.environ) else 1)
