"""One request to a verb, from its head to its reply: authenticate, admit, read rows, run, write.

Two entries make an ``Inference``: ``service/http/connection.py``, which reads requests off a
socket, and ``service/routes/verbs.py``, a FastAPI route for any ASGI server. All decisions are
here.
"""

import time
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache, partial
from math import inf
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from service.arrays import Arrays, Float32
from service.batching.call import Call
from service.errors import (
    DeadlineExceeded,
    InvalidInput,
    Malformed,
    QueueFull,
    ServiceError,
    UnsupportedFormat,
)
from service.http.context import AppContext
from service.http.head import Head
from service.http.limits import too_large
from service.http.reply import CLIENT_CLOSED_REQUEST, Reply
from service.http.target import Target
from service.models.model import Model
from service.models.options import Options, parse_options
from service.models.verbs import Verb
from service.telemetry.record import RequestRecord
from service.wire import json
from service.wire.formats import JSON, Format, acceptable, format_of
from service.wire.rows import RowSpec

LARGE_REPLY_BYTES: Final = 2**20  # of arrays; a larger reply is written outside the event loop
Send = Callable[[Reply], None]


class Admission(NamedTuple):
    """What the head of an accepted request asks for. ``timeout`` is in seconds."""

    reads: Format
    writes: Format
    timeout: float


class Inference:
    """A request to the verb of ``target``. ``send`` is called with the reply, once.

    ``begin`` when the head is known, ``receive`` for each piece of the body, ``finish`` after the
    last; ``cancel`` when the client is gone, and then nothing is sent. Any of them may send.
    """

    deadline = 0.0
    _op = "unknown"  # in metrics, until the request is authenticated
    _model: Model | None = None
    _admission: Admission | None = None
    _error: ServiceError | None = None
    _call: Call | None = None
    _coroutine: Coroutine[Call, None, Arrays] | None = None
    _queue_seconds = 0.0
    _compute_seconds = 0.0
    _length = 0
    _size = 0  # bytes of the values that are computed
    _reserved = 0
    _done = False

    def __init__(self, context: AppContext, head: Head, target: Target, send: Send) -> None:
        self.head = head
        self._context = context
        self._target = target
        self._send = send
        self._received_at = time.monotonic()
        self._pieces: tuple[bytes, ...] = ()

    def begin(self) -> None:
        """Decide all that the head alone decides, before the body is received."""
        context, head = self._context, self.head
        context.metrics.in_flight += 1
        try:
            context.api_keys.check(head.headers)
            if head.length > context.max_body_bytes:
                raise too_large(head.length, context.max_body_bytes)
            self._op = self._target.verb.name
            self._model = context.models.get(self._target.name, self._target.version)
            if head.admission is None:
                head.admission = admit(self._target.verb, head)
            self._admission = head.admission
            self._reserve(head.length)
        except Exception as error:
            self.fail(error)

    def receive(self, piece: bytes) -> None:
        """Add a piece of the body."""
        if self._done:
            return
        self._pieces += (piece,)
        self._length += len(piece)
        try:
            if self._length > self.head.length:  # no Content-Length, or a server that ignores it
                self._reserve(len(piece))
            if self._length > self._context.max_body_bytes:
                raise too_large(self._length, self._context.max_body_bytes)
        except ServiceError as error:
            self.fail(error)

    def finish(self) -> None:
        """All of the body is received: read the rows and run the verb."""
        if self._done or self._model is None or self._admission is None:
            return
        context, verb = self._context, self._target.verb
        timeout = min(self._admission.timeout, context.timeout_seconds)
        self.deadline = self._received_at + timeout
        context.request_deadlines.add(self)  # before anything of the request runs
        try:
            rows, options = self._read(self._model, self._admission.reads)
            self._size = verb.size(self._model, rows, options)
            self._reserve(self._size if self._admission.writes is not JSON else 4 * self._size)
            self._coroutine = verb.call(self._model, rows, options)
        except Exception as error:
            self.fail(error)
        else:
            self._advance()

    def cancel(self) -> None:
        """The client is gone: what waits in a queue leaves it and is never run."""
        if not self._done:
            self._stop()
            self._end(CLIENT_CLOSED_REQUEST, self._context.request_ids.of(self.head.headers))

    def expire(self) -> None:
        """The deadline of the request has passed."""
        self.fail(DeadlineExceeded("the time for this request is over"))

    def fail(self, error: Exception) -> None:
        """Send the reply that an error stands for."""
        if not self._done:
            self._stop()
            name = f"/{self._target.verb.name}"
            reply, self._error = self._context.reject(error, "POST", name)
            self._reply(*reply)

    def _read(self, model: Model, reads: Format) -> tuple[Float32 | None, Options]:
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = ()
        query = parse_query(self.head.query) if self.head.query else {}
        return read(self._target.verb, model.row_specs, reads, body, query)

    def _advance(self) -> None:
        """Run the verb up to the next batch that it waits for, or to its end.

        A verb awaits nothing but calls of batchers, and a call says itself when it is done. So no
        asyncio task is needed, which would cost a turn of the event loop at each step.
        """
        if self._done or self._coroutine is None:
            return
        if self._call is not None:
            self._queue_seconds += self._call.queue_seconds
            self._compute_seconds += self._call.compute_seconds
        try:
            call = self._coroutine.send(None)
        except StopIteration as finished:
            self._write(finished.value)
        except Exception as error:
            self.fail(error)
        else:
            self._call = call
            call.callback = self._advance
            if call.estimated_completion > self.deadline:
                self.fail(_too_late(call.estimated_completion - self.deadline))

    def _write(self, arrays: Arrays) -> None:
        """Write the arrays of the reply in the format that the request accepts."""
        if self._model is None or self._admission is None:
            raise AssertionError("arrays without an admitted request. This is a bug.")
        writes = self._admission.writes
        try:
            if self._size > LARGE_REPLY_BYTES:
                write = partial(writes.write, arrays, self._model.manifest.input)
                self._context.write_later(write, self._written)
                return
            body = writes.write(arrays, self._model.manifest.input)
        except Exception as error:
            self.fail(error)
        else:
            self._reply(200, writes.content_type, body)

    def _written(self, outcome: bytes | Exception) -> None:
        if isinstance(outcome, Exception):
            self.fail(outcome)
        elif not self._done and self._admission is not None:
            self._reply(200, self._admission.writes.content_type, outcome)

    def _reply(self, status: int, media_type: bytes, body: bytes, lines: bytes = b"") -> None:
        context, model = self._context, self._model
        request_id = context.request_ids.of(self.head.headers)
        model_line = b"" if model is None else model.label_line
        lines = b"%bx-request-id: %b\r\n%b" % (lines, request_id, model_line)
        if self._call is not None and context.server_timing:
            times = (1000 * self._queue_seconds, 1000 * self._compute_seconds)
            lines += b"server-timing: queue;dur=%.3f, compute;dur=%.3f\r\n" % times
        self._end(status, request_id)
        self._send(Reply(status, media_type, body, lines))

    def _stop(self) -> None:
        """Whatever the verb still waits for is of no use any more."""
        if self._call is not None:
            self._call.callback = None
            self._call.cancel()
        if self._coroutine is not None:
            self._coroutine.close()
        self._pieces = ()

    def _end(self, status: int, request_id: bytes) -> None:
        """Count the request and let go of all that it held."""
        self._done = True
        context = self._context
        context.request_deadlines.discard(self)
        context.metrics.in_flight -= 1
        context.budget.release(self._reserved)
        label = "" if self._model is None else self._model.label
        seconds = time.monotonic() - self._received_at
        context.metrics.observe_request(self._op, label, status, seconds)
        if self._error is not None or context.observers:
            context.observe(
                RequestRecord(
                    op=self._op,
                    label=label,
                    status=status,
                    seconds=seconds,
                    queue_seconds=self._queue_seconds,
                    compute_seconds=self._compute_seconds,
                    request_id=request_id.decode(),
                    traceparent=self.head.headers.get(b"traceparent"),
                    error=self._error,
                )
            )
        self._coroutine = None
        self._model = None

    def _reserve(self, count: int) -> None:
        self._context.budget.reserve(count)
        self._reserved += count


def admit(verb: Verb, head: Head) -> Admission:
    """What the head asks for. Raises Malformed, UnsupportedFormat and NotAcceptable."""
    headers = head.headers
    return _admit(
        "outputs" in verb.outputs,
        headers.get(b"content-type"),
        headers.get(b"accept"),
        headers.get(b"content-encoding"),
        headers.get(b"x-timeout-ms"),
    )


@lru_cache(maxsize=256)
def _admit(
    picture: bool,
    content_type: bytes | None,
    accept: bytes | None,
    encoding: bytes | None,
    timeout_ms: bytes | None,
) -> Admission:
    if encoding is not None and encoding.lower() != b"identity":
        raise UnsupportedFormat(
            "compressed bodies are not read here",
            expected="identity",
            given=encoding.decode("latin-1"),
        )
    timeout = inf if timeout_ms is None else _seconds(timeout_ms)
    return Admission(format_of(content_type), acceptable(accept, picture=picture), timeout)


def _seconds(timeout_ms: bytes) -> float:
    if not (timeout_ms.isdigit() and len(timeout_ms) <= 12 and int(timeout_ms) > 0):
        raise Malformed(
            "X-Timeout-Ms is not a positive whole number", given=timeout_ms.decode("latin-1")
        )
    return int(timeout_ms) / 1000


def read(
    verb: Verb,
    specs: Mapping[str, RowSpec],
    form: Format,
    body: bytes,
    query: Mapping[str, str],
) -> tuple[Float32 | None, Options]:
    """The rows, if the verb has any, and the options, from a body and the query string.

    Options are members of a JSON body or stand in the query string, not in both. Raises Malformed,
    UnsupportedFormat and InvalidInput.
    """
    rows: Float32 | None = None
    values: Mapping[str, Any] = {}
    if verb.rows is not None:
        rows, values = form.read(body, specs[verb.rows])
    elif body and form is JSON:
        values = json.read_options(body)
    elif body:
        raise UnsupportedFormat(
            f"/{verb.name} takes options alone", expected=JSON.media_type, given=form.media_type
        )
    return rows, parse_options(verb.options, values, query)


def parse_query(query: bytes) -> dict[str, str]:
    """The options of a query string. Raises InvalidInput if it names an option twice."""
    text = query.decode("latin-1")
    pairs = parse_qsl(text, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise InvalidInput("the query string names an option twice", given=text)
    return options


def _too_late(seconds: float) -> QueueFull:
    return QueueFull(
        f"this request would miss its deadline by about {seconds:.3f} s",
        retry_after=seconds,
    )
