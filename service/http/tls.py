"""The certificate of the service, checked before anything listens."""

import ssl
from typing import Any

from service.settings import Settings


class TlsUnusable(Exception):
    """The certificate and its key cannot be used; the message says which files and why."""


def context(settings: Settings) -> ssl.SSLContext | None:
    """The context of the certificate and its key; None without a certificate.

    Raises TlsUnusable for files that do not open a server. A key with a passphrase is one of those:
    nobody is there to type it.
    """
    if settings.tls_cert is None:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        made.load_cert_chain(settings.tls_cert, settings.tls_key, password=_no_passphrase)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise TlsUnusable(
            f"the certificate {settings.tls_cert} with the key {settings.tls_key} "
            f"cannot be used: {error}"
        ) from None
    return made


def _no_passphrase() -> str:
    raise ValueError("the key asks for a passphrase")


def tls_options(settings: Settings) -> dict[str, Any]:
    """What an event loop takes to listen with the certificate, if there is one."""
    made = context(settings)
    return {"ssl": made, "ssl_handshake_timeout": settings.head_seconds} if made else {}
