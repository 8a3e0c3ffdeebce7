# /// script
# dependencies = ["langfuse"]
# ///
"""langfuse: the generations that its OpenAI wrapper makes, and the orders in which it and we come and go."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import instrumentors
from harness import Suite
from instrumentors import METHODS
from langfuse import Langfuse
from opentelemetry.sdk.trace import TracerProvider
from spans import Exporter

if TYPE_CHECKING:
    from instrumentors import Clients

suite = Suite("langfuse")


def standing() -> dict[tuple[type, str], Any]:
    """Return the SDK's methods as they stand in the classes."""
    return {(owner, name): inspect.getattr_static(owner, name) for owner, name in METHODS}


FOUND = standing()
from langfuse.openai import register_tracing  # noqa: E402 - it wraps at once, and is taken off below

TIMED = "langfuse.observation.completion_start_time"


class Instrumentor:
    """Wraps `create` and `parse` of each endpoint, and the iteration of streams."""

    def __init__(self) -> None:
        self.found: dict[tuple[type, str], Any] = {}
        self._exporter = Exporter()
        self._client = Langfuse(
            public_key="pk-lf-test",
            secret_key="sk-lf-test",
            base_url="http://langfuse.invalid",
            span_exporter=self._exporter,
            tracer_provider=TracerProvider(),
        )

    def put_on(self, _: Clients) -> None:
        found = standing()
        register_tracing()
        self.found = {place: found[place] for place, function in standing().items() if function is not found[place]}

    def take_off(self, _: Clients) -> None:
        # It has no way to do this; what it found is put back, as most libraries do that have one.
        for (owner, name), function in self.found.items():
            setattr(owner, name, function)

    def traced(self) -> list[Any]:
        self._client.flush()
        spans = self._exporter.take()
        for _, _, _, attributes, *_ in spans:
            attributes[TIMED] = type(attributes.get(TIMED)).__name__
        return spans


for (owner, name), function in FOUND.items():
    if inspect.getattr_static(owner, name) is not function:
        setattr(owner, name, function)
instrumentors.add(suite, Instrumentor())
suite.main()
