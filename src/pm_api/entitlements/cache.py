"""What this process remembers of plans and entitlements: at most 5 s, and dropped at once by a signal."""

import asyncio
import time
from collections import OrderedDict
from typing import Final
from uuid import UUID

from pm_api.core.platform import Platform
from pm_api.entitlements import repository, rules
from pm_api.entitlements.enums import AccountType, Plan
from pm_api.entitlements.models import Entitlement, PlanTerms
from pm_api.entitlements.rules import Standing

CACHE_S: Final = 5.0
CACHE_ENTRIES: Final = 10_000


class Entitlements:
    """For readers that ask at every request. Who enforces a limit under a lock reads the rows instead."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._rows: OrderedDict[UUID, tuple[Entitlement | None, float]] = OrderedDict()
        self._plans: list[PlanTerms] = []
        self._plans_until = 0.0
        self._reading = asyncio.Lock()
        self._dropped = 0

    async def plans(self) -> list[PlanTerms]:
        """Plans on offer, smallest first."""
        if self._plans_until > time.monotonic():
            return self._plans
        async with self._reading:
            if self._plans_until <= time.monotonic():
                async with self._platform.database.reading() as session:
                    self._plans = list(await repository.plans(session))
                self._plans_until = time.monotonic() + CACHE_S
        return self._plans

    async def standing(self, kind: AccountType, account_id: UUID) -> Standing:
        """What an account has itself. The clock is asked each time: a grace ends on the second, cached or not."""
        free = next(one for one in await self.plans() if one.plan == Plan.FREE)
        return rules.standing(kind, account_id, await self._row(account_id), free, self._platform.clock.now())

    def forget(self, account_id: str) -> None:
        """An account has bought something, or something of it has ended."""
        self._dropped += 1
        self._rows.pop(UUID(account_id), None)

    def forget_plans(self) -> None:
        """A plan is on offer at another price."""
        self._plans_until = 0.0

    def clear(self) -> None:
        """Signals may have been missed."""
        self._dropped += 1
        self._rows.clear()
        self._plans_until = 0.0

    async def _row(self, account_id: UUID) -> Entitlement | None:
        known = self._rows.get(account_id)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        dropped = self._dropped
        async with self._platform.database.reading() as session:
            row = await repository.entitlement(session, account_id)
        if dropped == self._dropped:  # else what was read may be older than what was just announced
            self._rows[account_id] = (row, time.monotonic() + CACHE_S)
            self._rows.move_to_end(account_id)
            while len(self._rows) > CACHE_ENTRIES:
                self._rows.popitem(last=False)
        return row
