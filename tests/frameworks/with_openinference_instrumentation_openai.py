# /// script
# dependencies = ["openinference-instrumentation-openai", "opentelemetry-sdk"]
# ///
"""openinference-instrumentation-openai: its spans, and the orders in which it and we come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import instrumentors
from harness import Suite
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from spans import Exporter

if TYPE_CHECKING:
    from instrumentors import Clients

suite = Suite("openinference-instrumentation-openai")


class Instrumentor:
    """Wraps `request` of the clients' classes."""

    def __init__(self) -> None:
        self._exporter = Exporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def put_on(self, _: Clients) -> None:
        OpenAIInstrumentor().instrument(tracer_provider=self._provider)

    def take_off(self, _: Clients) -> None:
        OpenAIInstrumentor().uninstrument()

    def traced(self) -> list[Any]:
        return self._exporter.take()


instrumentors.add(suite, Instrumentor())
suite.main()
