# /// script
# dependencies = ["opentelemetry-instrumentation-openai", "opentelemetry-sdk"]
# ///
"""opentelemetry-instrumentation-openai: its spans, and the orders in which it and we come and go."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import instrumentors
from harness import Suite
from instrumentors import METHODS
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.openai.v1 import responses_wrappers
from opentelemetry.instrumentation.utils import unwrap
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from spans import Exporter

if TYPE_CHECKING:
    from instrumentors import Clients

suite = Suite("opentelemetry-instrumentation-openai")


class Instrumentor:
    """Wraps `create` and `parse` of each endpoint."""

    def __init__(self) -> None:
        self._exporter = Exporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def put_on(self, _: Clients) -> None:
        responses_wrappers.responses.clear()  # as in a new process; see below
        OpenAIInstrumentor().instrument(tracer_provider=self._provider)

    def take_off(self, _: Clients) -> None:
        OpenAIInstrumentor().uninstrument()
        # It gives `unwrap` names that are not found, and so leaves its wrappers where they are. This is what it means.
        for owner, name in METHODS:
            while _is_theirs(inspect.getattr_static(owner, name)):
                unwrap(owner, name)

    def traced(self) -> list[Any]:
        return self._exporter.take()


def _is_theirs(function: Any) -> bool:
    handler = getattr(function, "_self_wrapper", None)
    return getattr(handler, "__module__", "").startswith("opentelemetry.")


instrumentors.add(suite, Instrumentor())
suite.lacks(
    "Responses API, one recording twice",
    "the library remembers responses by their ids, and does not trace one that it has seen in the same process",
)
suite.main()
