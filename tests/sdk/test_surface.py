"""The whole surface of the SDK: each public method is recorded, and replayed equal."""

from __future__ import annotations

import pytest
import surface


@pytest.fixture(scope="module")
def served():
    """Serve the whole surface."""
    server = surface.SurfaceServer()
    with surface.client_of(server) as client:
        yield server, client
    server.stop()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("cls", surface.resources(), ids=lambda cls: f"{cls.__module__}.{cls.__name__}"[17:])
def test_each_method_is_recorded_and_replayed_equal(cls, served, tmp_path):
    """Whatever this version of the SDK has: with minimal arguments, and an answer of the type that the method wants."""
    server, client = served
    for method in surface.methods(cls):
        told = surface.verdict(server, client, method, tmp_path / str(method))
        assert told in ("equal", "local"), f"{method}: {told}"


def test_the_walk_sees_what_differs(served, tmp_path, monkeypatch):
    """A method whose replay is another answer does not pass for an equal one."""
    server, client = served
    method = next(
        item for cls in surface.resources() for item in surface.methods(cls) if str(item).endswith("Models.list")
    )
    outcome, numbers = surface.outcome, iter(range(3))
    monkeypatch.setattr(surface, "outcome", lambda client, method: (outcome(client, method), next(numbers)))
    assert surface.verdict(server, client, method, tmp_path).startswith("different")
