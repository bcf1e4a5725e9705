"""OpenTelemetry: a span for each request, in the trace that its client began (W3C Trace Context).

An extra, ``otel``. Spans are made when a request is over, with the times that were measured anyway,
and sent by a thread in batches; nothing is sent without ``--otlp-endpoint``.
"""

import time
from typing import Any, Final

from service.settings import Settings
from service.telemetry.record import RequestObserver, RequestRecord

SERVICE_NAME: Final = "vae-server"


class TracingUnusable(Exception):
    """The packages of the extra are missing; the message says so."""


def tracer(settings: Settings) -> RequestObserver | None:
    """What turns visits into spans; None without an endpoint. Raises TracingUnusable."""
    if settings.otlp_endpoint is None:
        return None
    try:
        return Tracer(settings.otlp_endpoint)
    except ImportError as error:
        raise TracingUnusable(
            f"otlp_endpoint is set, but {error.name} is not installed: install the extra otel"
        ) from None


class Tracer:
    """Sends spans to a collector's address for traces, as ``http://collector:4318/v1/traces``."""

    def __init__(self, endpoint: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        provider = TracerProvider(resource=Resource.create({"service.name": SERVICE_NAME}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
        self._tracer = provider.get_tracer(SERVICE_NAME)
        self._propagator = TraceContextTextMapPropagator()
        self._server, self._error = SpanKind.SERVER, StatusCode.ERROR

    def __call__(self, visit: RequestRecord) -> None:
        """Record the visit as a span that ends now."""
        ended = time.time_ns()
        span = self._tracer.start_span(
            visit.op,
            context=self._parent(visit.traceparent),
            kind=self._server,
            attributes=_attributes(visit),
            start_time=ended - int(visit.seconds * 1e9),
        )
        if visit.status >= 500:
            span.set_status(self._error)
        span.end(ended)

    def _parent(self, traceparent: bytes | None) -> Any:
        if traceparent is None:
            return None
        return self._propagator.extract({"traceparent": traceparent.decode("latin-1")})


def _attributes(visit: RequestRecord) -> dict[str, str | int | float]:
    """Names of OpenTelemetry's semantic conventions where there are any."""
    found: dict[str, str | int | float] = {
        "http.request.method": "POST",
        "http.response.status_code": visit.status,
        "vae.op": visit.op,
        "vae.request_id": visit.request_id,
        "vae.queue_seconds": visit.queue_seconds,
        "vae.compute_seconds": visit.compute_seconds,
    }
    if visit.label:
        found["vae.model"] = visit.label
    if visit.error is not None:
        found["error.type"] = visit.error.kind
    return found
