"""OpenTelemetry: a span for each request, in the trace of its client (W3C Trace Context).

It needs the extra ``otel``. A span is made when its request is over, from times that were measured
anyway, and a thread sends spans in batches. Nothing is sent without ``--otlp-endpoint``.
"""

import time
from typing import Any, Final

from service.settings import Settings
from service.telemetry.record import RequestObserver, RequestRecord

SERVICE_NAME: Final = "vae-server"


class TracingUnusable(Exception):
    """The packages of the extra ``otel`` are missing; the message names one."""


def tracer(settings: Settings) -> RequestObserver | None:
    """A Tracer, or None without an endpoint. Raises TracingUnusable."""
    if settings.otlp_endpoint is None:
        return None
    try:
        return Tracer(settings.otlp_endpoint)
    except ImportError as error:
        raise TracingUnusable(
            f"otlp_endpoint is set, but {error.name} is not installed: install the extra otel"
        ) from None


class Tracer:
    """Sends spans to an OTLP endpoint, such as ``http://collector:4318/v1/traces``."""

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

    def __call__(self, record: RequestRecord) -> None:
        """Make a span of the request that ends now."""
        ended = time.time_ns()
        span = self._tracer.start_span(
            record.op,
            context=self._parent(record.traceparent),
            kind=self._server,
            attributes=_attributes(record),
            start_time=ended - int(record.seconds * 1e9),
        )
        if record.status >= 500:
            span.set_status(self._error)
        span.end(ended)

    def _parent(self, traceparent: bytes | None) -> Any:
        if traceparent is None:
            return None
        return self._propagator.extract({"traceparent": traceparent.decode("latin-1")})


def _attributes(record: RequestRecord) -> dict[str, str | int | float]:
    """Attributes, named by OpenTelemetry's semantic conventions if these have a name."""
    found: dict[str, str | int | float] = {
        "http.request.method": "POST",
        "http.response.status_code": record.status,
        "vae.op": record.op,
        "vae.request_id": record.request_id,
        "vae.queue_seconds": record.queue_seconds,
        "vae.compute_seconds": record.compute_seconds,
    }
    if record.label:
        found["vae.model"] = record.label
    if record.error is not None:
        found["error.type"] = record.error.kind
    return found
