"""What a span of OpenTelemetry tells, without its times and ids."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

LEFT_OUT = frozenset(("exception.stacktrace",))
"""Attributes of events that tell of the code and not of the call."""


class Exporter(InMemorySpanExporter):
    """Keeps spans until they are asked for."""

    def take(self) -> list[Any]:
        """Return what came since the last time."""
        spans = self.get_finished_spans()
        self.clear()
        return [told(span) for span in spans]


def told(span: Any) -> Any:
    """Return what a span tells."""
    events = [
        [event.name, {name: value for name, value in (event.attributes or {}).items() if name not in LEFT_OUT}]
        for event in span.events
    ]
    status = [span.status.status_code, span.status.description]
    scope = span.instrumentation_scope.name
    return [span.name, span.kind, scope, dict(span.attributes), status, events, len(span.links), span.parent is None]
