"""Counting anew: what each account's files take up, from the rows themselves, beside what its counters say.

The two must be equal at every moment; where they are not, something of ours is wrong, and the operator is told.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import structlog

from pm_api.core import telemetry
from pm_api.core.platform import Platform
from pm_api.domains.storage import objects, quotas
from pm_api.domains.storage.accounts import Account, account_at
from pm_api.domains.storage.repository import reconciling as repository
from pm_api.domains.storage.repository.reconciling import Counted, Sums

ACCOUNTS_AT_A_TIME: Final = 200
OBJECTS_AT_A_TIME: Final = 500

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Drift:
    """An account whose counters are not what they count: bytes too many (or too few, below nothing) by name."""

    account: Account
    off_by: dict[str, int]
    misfiled: int
    is_healed: bool = False

    def told(self) -> str:
        """One line for the operator."""
        figures = ", ".join(f"{name} {by:+d}" for name, by in sorted(self.off_by.items()))
        misfiled = f"{self.misfiled} objects counted as something else" if self.misfiled else ""
        what = "; ".join(one for one in (figures, misfiled) if one)
        verb = "healed" if self.is_healed else "drifts"
        return f"{verb}: {self.account.kind.lower()} {self.account.id}: {what}"


async def recount(platform: Platform, *, heal: bool = False) -> AsyncIterator[Drift]:
    """Every account, one after the other; those that drift come out. With `heal` their counters are set right, under
    the lock that everybody holds who changes them.
    """
    after: Counted | None = None
    drifting = 0
    while True:
        async with platform.database.reading() as session:
            place = after.account_id if after is not None else None
            found = await repository.accounts_after(session, place, limit=ACCOUNTS_AT_A_TIME)
        right = []
        for one in found:
            account = account_at(one.account_kind, one.account_id)
            async with platform.database.reading() as session:
                drift = drift_of(account, await repository.sums(session, account.id))
            if drift is None:
                right.append(account.id)
                continue
            if heal:
                drift = await _heal(platform, account) or drift
            drifting += 1
            _log.error("storage_usage_drifts", account_id=str(account.id), off_by=drift.off_by, healed=heal)
            yield drift
        if right:
            async with platform.database.transaction() as session:
                await repository.mark_calculated(session, right, platform.clock.now())
        if len(found) < ACCOUNTS_AT_A_TIME:
            telemetry.STORAGE_DRIFT.set(drifting)
            return
        after = found[-1]


def drift_of(account: Account, sums: Sums) -> Drift | None:
    """None where the counters are right. An account without any counts nothing."""
    counted = sums.counted or dict.fromkeys(sums.expected, 0)
    off_by = {name: counted[name] - expected for name, expected in sums.expected.items() if counted[name] != expected}
    return Drift(account, off_by, sums.misfiled) if off_by or sums.misfiled else None


async def _heal(platform: Platform, account: Account) -> Drift | None:
    """None when it was right by the time its counters were held."""
    async with platform.database.transaction() as session:
        await quotas.hold(session, platform, account)
        sums = await repository.sums(session, account.id)
        drift = drift_of(account, sums)
        if drift is None:
            return None
        now = platform.clock.now()
        await repository.refile(session, account.id, now)
        await repository.set_counters(session, account.id, sums.expected, now)
        await objects.recharge(
            session, platform, await repository.unused_objects(session, account.id, limit=OBJECTS_AT_A_TIME)
        )
        return Drift(account, drift.off_by, drift.misfiled, is_healed=True)
