"""Requests asked several at a time, no faster than a rate, and for no more than a sum."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from inferencereplay.verification.outcomes import UNANSWERED, NotAsked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from inferencereplay.verification.limits import Limits
    from inferencereplay.verification.outcomes import Outcome
    from inferencereplay.verification.verification_plan import Item

GIVE_UP = 5
"""Requests without an answer, from the first one on, after which no more are asked."""


class Dispatcher:
    """Asks requests, in their order.

    Args:
        items: the requests.
        limits: how many, and how fast.
        ask: asks one.
        finished: is called with each outcome, once, as soon as it is known.
    """

    def __init__(
        self,
        items: Sequence[Item],
        limits: Limits,
        ask: Callable[[Item], Awaitable[Outcome]],
        finished: Callable[[Outcome], None],
    ) -> None:
        self._waiting = deque(items if limits.requests is None else items[: limits.requests])
        self._cut = items[len(self._waiting) :]
        self._limits = limits
        self._ask = ask
        self._finished = finished
        self._stop = ""
        self._next = 0.0
        self._unanswered = 0
        self._has_answer = False
        self._spent = self._reserved = 0.0
        self._running = 0
        self._settled = asyncio.Condition()

    async def run(self) -> list[NotAsked]:
        """Ask the requests; return those that were not asked, and why.

        Raises:
            Exception: what `ask` raises; no other request is asked then.
        """
        count = min(self._limits.concurrency, len(self._waiting))
        workers = [asyncio.ensure_future(self._work()) for _ in range(count)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        rest = [NotAsked(item.name, self._stop) for item in self._waiting]
        return rest + [NotAsked(item.name, "--max-requests is reached") for item in self._cut]

    async def _work(self) -> None:
        while self._waiting and not self._stop:
            item = self._waiting.popleft()
            await self._take_turn()
            if not await self._reserve(item.cost or 0.0):
                self._stop = self._stop or "--max-cost would be passed"
            if self._stop:
                self._waiting.appendleft(item)
                return
            outcome = await self._ask(item)
            await self._settle(item.cost or 0.0, outcome.cost)
            self._note(outcome)
            self._finished(outcome)

    def _note(self, outcome: Outcome) -> None:
        self._has_answer = self._has_answer or outcome.verdict != UNANSWERED
        self._unanswered += outcome.verdict == UNANSWERED
        if self._unanswered >= GIVE_UP and not self._has_answer:
            self._stop = f"the first {GIVE_UP} requests got no answer"

    async def _take_turn(self) -> None:
        """Wait until the next request is due by the rate."""
        if self._limits.rate is None:
            return
        now = asyncio.get_running_loop().time()
        due = max(now, self._next)
        self._next = due + 1 / self._limits.rate
        await asyncio.sleep(due - now)

    async def _reserve(self, cost: float) -> bool:
        """Set aside what a request may cost; `False` if that is too much, also when all others are settled."""
        limit = self._limits.cost
        if limit is None:
            return True
        async with self._settled:
            while self._spent + self._reserved + cost > limit:
                if not self._running:
                    return False
                await self._settled.wait()
            self._running += 1
            self._reserved += cost
        return True

    async def _settle(self, reserved: float, cost: float | None) -> None:
        """Count what a request has cost, or may have cost if that is not known."""
        if self._limits.cost is None:
            return
        async with self._settled:
            self._running -= 1
            self._reserved -= reserved
            self._spent += reserved if cost is None else cost
            self._settled.notify_all()
