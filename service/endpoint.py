"""A verb's request from head to reply, whichever lane it comes by."""

import logging
import time
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import parse_qsl
from weakref import WeakKeyDictionary

from service.errors import (
    MEDIA_TYPE,
    InternalError,
    InvalidInput,
    Malformed,
    ServiceError,
    UnsupportedFormat,
)
from service.guard import Head
from service.model import Model
from service.repository import Repository
from service.settings import Settings
from service.verbs import VERBS, Verb
from service.wire.formats import Format, acceptable, format_of
from service.wire.request import read, row_spec
from service.wire.rows import RowSpec

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST: Final = 499  # in metrics; nobody is there to be answered
RawHeaders = list[tuple[bytes, bytes]]


class Target(NamedTuple):
    """What a path asks for; no name is the default model, no version the latest."""

    verb: Verb
    name: str | None = None
    version: int | None = None


class Admission(NamedTuple):
    """A request whose head is accepted; ``deadline`` is a time of the monotonic clock."""

    verb: Verb
    model: Model
    reads: Format
    writes: Format
    deadline: float


class Reply(NamedTuple):
    """Status, the headers that belong to the body, and the body."""

    status: int
    headers: RawHeaders
    body: bytes


def reply(
    status: int, media_type: bytes, body: bytes, headers: Iterable[tuple[str, str]] = ()
) -> Reply:
    """A reply with the headers of its body."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    raw += ((b"content-length", b"%d" % len(body)), (b"content-type", media_type))
    return Reply(status, raw, body)


def problem(error: ServiceError) -> Reply:
    """The reply that an error stands for."""
    return reply(error.status, MEDIA_TYPE.encode(), error.problem(), error.headers.items())


def service_error(error: Exception, method: str, path: str) -> ServiceError:
    """``error`` itself, or the error that hides a bug of ours, which the log then shows."""
    if isinstance(error, ServiceError):
        return error
    logger.error("%s %s failed", method, path, exc_info=error)
    return InternalError("the server failed on this request")


class Endpoint:
    """Admits a head, then answers its body; a ServiceError is the caller's to know."""

    def __init__(self, models: Repository, settings: Settings) -> None:
        self._models = models
        self._settings = settings
        # Weak, so that a model that is no longer served goes when its requests are answered.
        self._specs: WeakKeyDictionary[Model, dict[str, RowSpec | None]] = WeakKeyDictionary()

    def find(self, target: Target) -> Model:
        """The model of a target. Raises UnknownModel."""
        return self._models.get(target.name, target.version)

    def admit(self, verb: Verb, model: Model, head: Head) -> Admission:
        """Check what the head alone decides: deadline, encoding and the two formats."""
        deadline = time.monotonic() + self._timeout(head)
        if (encoding := head.get(b"content-encoding", b"identity").lower()) != b"identity":
            raise UnsupportedFormat(
                "compressed bodies are not read here",
                expected="identity",
                given=encoding.decode("latin-1"),
            )
        reads = format_of(head.get(b"content-type"))
        writes = acceptable(head.get(b"accept"), picture="outputs" in verb.outputs)
        return Admission(verb, model, reads, writes, deadline)

    async def answer(self, admission: Admission, query: bytes, body: bytes) -> Reply:
        """Read the body, run the verb, write the reply. Awaits nothing but the batchers."""
        verb, model = admission.verb, admission.model
        options = _query(query) if query else {}
        rows, chosen = read(verb, self._spec(verb, model), admission.reads, body, options)
        arrays = await verb.call(model, rows, chosen)
        writes = admission.writes
        body = writes.write(arrays, model.manifest.input)
        return reply(200, writes.content_type, body)

    def _timeout(self, head: Head) -> float:
        """Seconds for this request: X-Timeout-Ms, but no more than the setting."""
        given = head.get(b"x-timeout-ms")
        if given is None:
            return self._settings.timeout_ms / 1000
        if not (given.isdigit() and len(given) <= 12 and int(given) > 0):
            raise Malformed(
                "X-Timeout-Ms is not a positive whole number", given=given.decode("latin-1")
            )
        return min(int(given), self._settings.timeout_ms) / 1000

    def _spec(self, verb: Verb, model: Model) -> RowSpec | None:
        if (specs := self._specs.get(model)) is None:
            specs = self._specs[model] = {each.name: self._make_spec(each, model) for each in VERBS}
        return specs[verb.name]

    def _make_spec(self, verb: Verb, model: Model) -> RowSpec | None:
        settings = self._settings
        return row_spec(
            verb,
            model.manifest,
            max_rows=settings.max_request_rows,
            max_pixels=settings.max_image_pixels,
        )


def _query(query: bytes) -> dict[str, str]:
    text = query.decode("latin-1")
    pairs = parse_qsl(text, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise InvalidInput("the query string names an option twice", given=text)
    return options
