"""Tests of several event loops in one file, whose clients nobody closes."""

from __future__ import annotations

from suites import suite

pytest_plugins = ["pytester"]
__all__ = ["suite"]

TESTS = """
import gc
import openai
from inferencereplay import replay

@pytest.fixture(autouse=True)
def only_ours():
    gc.disable()  # no collection but the one at the end of a block
    yield
    gc.enable()

async def call(path, *, is_left):
    client = openai.AsyncOpenAI()
    with replay(path, mode="record"):
        made = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x"}], stream=is_left
        )
        if is_left:
            async for _ in made:
                break

@pytest.mark.asyncio
@pytest.mark.parametrize("is_left", [False, True] * 2)
async def test_with_asyncio(tmp_path, is_left):
    await call(tmp_path, is_left=is_left)

@pytest.mark.anyio
@pytest.mark.parametrize("is_left", [False, True] * 2)
async def test_with_anyio(tmp_path, is_left, anyio_backend):
    await call(tmp_path, is_left=is_left)
"""


def test_unclosed_clients_are_not_closed_in_a_foreign_loop(suite):
    """The SDK closes a client that is garbage in the loop that runs: an earlier test's, in which it was not made."""
    suite.ini(asyncio_default_fixture_loop_scope="function")
    suite.write(test_a=TESTS)
    shown = suite.live("asyncio", "-W", "always", passed=12).stdout.str()
    assert "Event loop is closed" not in shown
