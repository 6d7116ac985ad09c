"""A span per attempt by OpenTelemetry's conventions for generative AI, when an exporter is configured.

Configured means: OTEL_TRACES_EXPORTER or OTEL_EXPORTER_OTLP_ENDPOINT (or its TRACES form) is set and the `otel` extra
is installed, or the embedding program has set a tracer provider. Without it a span costs nothing. No prompt, answer
or key is ever an attribute.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from assay import __version__
from assay.config import Gateway
from assay.domain.messages import CompletionRequest
from assay.store.ledger import Settlement

log = logging.getLogger("assay.tracing")
VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_REQUEST = {
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}


class Span:
    """The span of one attempt; this one records nothing."""

    def ended(self, settlement: Settlement) -> None:
        """Notes how the attempt ended."""

    def cancelled(self) -> None:
        """Notes that it was stopped."""


class Tracer:
    """Makes spans; this one makes none."""

    @contextmanager
    def call(self, request: CompletionRequest, gateway: Gateway) -> Iterator[Span]:
        """The span around one attempt."""
        yield Span()


class _RecordedSpan(Span):
    def __init__(self, span: Any) -> None:
        self._span = span

    def ended(self, settlement: Settlement) -> None:
        found = {
            "gen_ai.response.id": settlement.generation_id,
            "gen_ai.response.model": settlement.answered_by,
            "gen_ai.usage.input_tokens": settlement.prompt_tokens,
            "gen_ai.usage.output_tokens": settlement.completion_tokens,
            "gen_ai.response.finish_reasons": [settlement.finish_reason] if settlement.finish_reason else None,
            "error.type": settlement.error_kind,
            "http.response.status_code": settlement.http_status,
            "assay.call.id": settlement.call_id,
            "assay.provider": settlement.provider,
            "assay.cost.provenance": settlement.cost.provenance,
            "assay.cost.usd": None if settlement.cost.pico is None else settlement.cost.pico / 1e12,
            "gen_ai.response.time_to_first_chunk": (
                None if settlement.first_token_ms is None else settlement.first_token_ms / 1000
            ),
        }
        self._span.set_attributes({name: value for name, value in found.items() if value is not None})
        if settlement.error_kind:
            self._fail(settlement.error_kind)

    def cancelled(self) -> None:
        self._span.set_attribute("error.type", "cancelled")
        self._fail("cancelled")

    def _fail(self, kind: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._span.set_status(Status(StatusCode.ERROR, kind))


class _RecordingTracer(Tracer):
    def __init__(self) -> None:
        from opentelemetry import trace

        self._tracer = trace.get_tracer("assay", __version__)

    @contextmanager
    def call(self, request: CompletionRequest, gateway: Gateway) -> Iterator[Span]:
        from opentelemetry.trace import SpanKind

        address = urlsplit(gateway.base_url)
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": gateway.name,
            "gen_ai.request.model": request.model,
            "server.address": address.hostname or "",
        }
        if address.port:
            attributes["server.port"] = address.port
        attributes |= {wire: request.params[name] for name, wire in _REQUEST.items() if name in request.params}
        with self._tracer.start_as_current_span(
            f"chat {request.model}", kind=SpanKind.CLIENT, attributes=attributes, record_exception=False
        ) as span:
            yield _RecordedSpan(span)


def tracer() -> Tracer:
    """The tracer of this process: one that records where tracing is configured, else one that does nothing."""
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "")
    wanted = exporter not in ("", "none") or any(os.environ.get(name) for name in VARIABLES)
    if not wanted and "opentelemetry.sdk" not in sys.modules:
        return Tracer()
    try:
        from opentelemetry import trace
    except ImportError:
        log.warning("Tracing is configured, but OpenTelemetry is missing: .venv/bin/pip install -e '.[otel]'.")
        return Tracer()
    if type(trace.get_tracer_provider()).__name__ != "ProxyTracerProvider":
        return _RecordingTracer()
    if not wanted or exporter == "none":
        return Tracer()
    return _RecordingTracer() if _export(exporter) else Tracer()


def _export(exporter: str) -> bool:
    """Sets up the SDK's provider with the configured exporter; False, with a warning, where a package is missing."""
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

        if exporter == "console":
            target: SpanExporter = ConsoleSpanExporter()
        else:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            target = OTLPSpanExporter()
    except ImportError as error:
        log.warning(
            "Tracing is configured, but a package is missing (%s): .venv/bin/pip install -e '.[otel]'.", error.name
        )
        return False
    provider = TracerProvider(resource=Resource.create({"service.name": "assay", "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(target))
    trace.set_tracer_provider(provider)
    return True
