"""Call a VAE server: numpy arrays in, numpy arrays out."""

from vae_client._async_client import AsyncClient
from vae_client._client import Client
from vae_client._exceptions import (
    BadRequest,
    DeadlineExceeded,
    InvalidInput,
    NotAcceptable,
    NotFound,
    Overloaded,
    ReplyError,
    ServerError,
    StatusError,
    TooLarge,
    TransportError,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    VAEError,
)
from vae_client._results import Encoding, ModelInfo, Samples, Scores

__all__ = [
    "AsyncClient",
    "BadRequest",
    "Client",
    "DeadlineExceeded",
    "Encoding",
    "InvalidInput",
    "ModelInfo",
    "NotAcceptable",
    "NotFound",
    "Overloaded",
    "ReplyError",
    "Samples",
    "Scores",
    "ServerError",
    "StatusError",
    "TooLarge",
    "TransportError",
    "Unauthorized",
    "Unavailable",
    "UnsupportedMediaType",
    "VAEError",
]
