"""A verb's request from head to reply, whichever lane it comes by."""

import logging
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from service.errors import (
    MEDIA_TYPE,
    InternalError,
    InvalidInput,
    Malformed,
    ServiceError,
    UnsupportedFormat,
)
from service.http.guard import Head
from service.http.request import read
from service.http.target import Target
from service.models.model import Model
from service.models.registry import ModelRegistry
from service.models.verbs import Verb
from service.settings import Settings
from service.wire.formats import Format, acceptable, format_of

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST: Final = 499  # in metrics; nobody is there to be answered
LAST_RESORT: Final = (
    b'{"type":"urn:vae-server:problem:internal-error","title":"Internal Server Error",'
    b'"status":500,"detail":"the server failed on this request"}'
)
RawHeaders = tuple[tuple[bytes, bytes], ...]


class Admission(NamedTuple):
    """What the head of an accepted request asks for; ``timeout`` in seconds."""

    reads: Format
    writes: Format
    timeout: float


class Reply(NamedTuple):
    """Status, media type and body, and the headers beyond what every reply has."""

    status: int
    media_type: bytes
    body: bytes
    headers: RawHeaders = ()


def problem(error: ServiceError) -> Reply:
    """The reply that an error stands for; a constant one if writing that reply fails."""
    try:
        return _problem(error)
    except Exception:
        logger.exception("the reply to an error cannot be written. This is a bug.")
        return Reply(500, MEDIA_TYPE.encode(), LAST_RESORT)


def _problem(error: ServiceError) -> Reply:
    headers = tuple(
        (name.lower().encode(), value.encode("latin-1")) for name, value in error.headers.items()
    )
    return Reply(error.status, MEDIA_TYPE.encode(), error.problem(), headers)


def service_error(error: Exception, method: str, path: str) -> ServiceError:
    """``error`` itself, or the error that hides a bug of ours, which the log then shows.

    Without what led to it: the frames hold the request's body and all that was made of it, and
    being in a cycle with the error they would do so until the garbage is collected.
    """
    if isinstance(error, ServiceError):
        error.__traceback__ = error.__context__ = None
        return error
    logger.error("%s %s failed", method, path, exc_info=error)
    return InternalError("the server failed on this request")


class Endpoint:
    """Admits a head, then answers its body; a ServiceError is the caller's to know."""

    def __init__(self, models: ModelRegistry, settings: Settings) -> None:
        self._models = models
        self._timeout_ms = settings.timeout_ms

    def find(self, target: Target) -> Model:
        """The model of a target. Raises UnknownModel."""
        return self._models.get(target.name, target.version)

    def admit(self, verb: Verb, head: Head) -> Admission:
        """Check what the head alone decides: time, encoding and the two formats."""
        timeout = self._timeout(head)
        if (encoding := head.get(b"content-encoding", b"identity").lower()) != b"identity":
            raise UnsupportedFormat(
                "compressed bodies are not read here",
                expected="identity",
                given=encoding.decode("latin-1"),
            )
        reads = format_of(head.get(b"content-type"))
        writes = acceptable(head.get(b"accept"), picture="outputs" in verb.outputs)
        return Admission(reads, writes, timeout)

    async def answer(
        self, verb: Verb, model: Model, admission: Admission, query: bytes, body: bytes
    ) -> Reply:
        """Read the body, run the verb, write the reply. Awaits nothing but the batchers."""
        options = parse_query(query) if query else {}
        rows, chosen = read(verb, model.row_specs, admission.reads, body, options)
        arrays = await verb.call(model, rows, chosen)
        writes = admission.writes
        return Reply(200, writes.content_type, writes.write(arrays, model.manifest.input))

    def _timeout(self, head: Head) -> float:
        """Seconds for this request: X-Timeout-Ms, but no more than the setting."""
        given = head.get(b"x-timeout-ms")
        if given is None:
            return self._timeout_ms / 1000
        if not (given.isdigit() and len(given) <= 12 and int(given) > 0):
            raise Malformed(
                "X-Timeout-Ms is not a positive whole number", given=given.decode("latin-1")
            )
        return min(int(given), self._timeout_ms) / 1000


def parse_query(query: bytes) -> dict[str, str]:
    """The options of a query string. Raises InvalidInput when it names one twice."""
    text = query.decode("latin-1")
    pairs = parse_qsl(text, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise InvalidInput("the query string names an option twice", given=text)
    return options
