"""Erasing an account: a walk of steps that may each be done again, so that a crash anywhere costs nothing but time.

    begin     one transaction: nothing stands in the way, nothing opens the account, its row forgets who it was
    endings   each slice's part in order (`core.personal`): Stripe, ledger, customers, what others were told
    marks     what the columns' marks say, table by table
    done      what they were called, sealed until now for the striking out, is forgotten too

Only when everything before has gone through is the next one begun; while Stripe is away the walk waits where it is.
Ledger, invoices and audit keep the person's id, which from now on is nobody's.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import personal
from pm_api.core.actor import SystemScope
from pm_api.core.errors import Unavailable
from pm_api.core.personal import Leaving, ends
from pm_api.core.platform import Platform
from pm_api.core.sweeping import is_nobodys_fault
from pm_api.domains.account import deletions, repository
from pm_api.domains.account.enums import DeletionStatus
from pm_api.domains.account.models import AccountDeletion
from pm_api.domains.account.repository import Due
from pm_api.domains.ai_credits import closing as ai_credits
from pm_api.domains.billing import closing as billing
from pm_api.domains.notifications import closing as notifications
from pm_api.entitlements.enums import AccountType
from pm_api.identity import leaving as identity

SCOPE: Final = SystemScope("an account is erased at the end of its grace")
PURPOSE: Final = "account.erasure"
LOOKED_AT_AGAIN: Final = timedelta(days=1)
FIRST_LOOK: Final = timedelta(minutes=10)
AFTERWARDS: Final = timedelta(days=45)
"""Stripe tells of what happened for 30 days: what comes late is put away like the rest."""
DELETIONS_AT_A_TIME: Final = 50
EVENTS_AT_A_TIME: Final = 500

Find = Callable[[AsyncSession, SystemScope, datetime, int], Awaitable[Sequence[Due]]]

_log = structlog.get_logger(__name__)


async def erase_due(platform: Platform) -> None:
    """Everybody whose grace is over. Who cannot be erased now is left for the next run, and keeps nobody waiting."""
    await _each(platform, repository.due_deletions, erase)


async def tidy_up(platform: Platform) -> None:
    """For a while after an erasure: what providers say late, and credits that come late, go the same way."""
    await _each(platform, repository.looked_at_late, tidy_up_after)


async def _each(platform: Platform, find: Find, serve: Callable[[Platform, UUID], Awaitable[None]]) -> None:
    now, tried = platform.clock.now(), set[UUID]()
    while True:
        async with platform.database.reading() as session:
            found = await find(session, SCOPE, now, DELETIONS_AT_A_TIME + len(tried))
        waiting = [one for one in found if one.id not in tried]
        if not waiting:
            return
        for one in waiting:
            tried.add(one.id)
            try:
                await serve(platform, one.id)
            except Unavailable as away:
                _log.warning("erasure_waits", deletion_id=str(one.id), code=away.code)
            except Exception as failure:
                if is_nobodys_fault(failure):
                    raise
                _log.exception("erasure_failed", deletion_id=str(one.id))


async def erase(platform: Platform, deletion_id: UUID) -> None:
    """One account, from wherever an earlier try has come to. Raises what its steps raise."""
    leaving = await _begin(platform, deletion_id)
    if leaving is None:
        return
    for one in personal.endings():
        await one.run(platform, leaving)
    await personal.erase_marked(platform, leaving)
    async with platform.database.transaction() as session:
        row = await repository.lock_deletion(session, SCOPE, deletion_id)
        if row is not None and row.status == DeletionStatus.ERASING:
            now = platform.clock.now()
            row.status, row.sealed_person, row.ended_at = DeletionStatus.ERASED, None, now
            row.look_at = now + FIRST_LOOK
            row.version += 1


async def _begin(platform: Platform, deletion_id: UUID) -> Leaving | None:
    """Who is to be erased: from now on, or since an earlier try. None: called off, done, or something has come in
    the way, of which the person is told.
    """
    async with platform.database.reading() as session:
        known = await repository.deletion(session, SCOPE, deletion_id)
    if known is None:
        return None
    async with platform.database.transaction() as session:
        # The person before the deletion, as whoever calls it off does.
        user = await identity.lock(session, known.user_id)
        row = await repository.lock_deletion(session, SCOPE, deletion_id)
        now = platform.clock.now()
        if row is None or row.look_at is None or row.look_at > now:
            return None
        if row.status == DeletionStatus.ERASING:
            return _opened(platform, row)
        if row.status != DeletionStatus.PENDING or user is None:
            return None
        found = await deletions.in_the_way(session, user.id)
        if found:
            row.look_at = row.erase_at = user.deletes_at = now + LOOKED_AT_AGAIN
            row.version += 1
            await deletions.tell_delayed(session, platform, row, found)
            return None
        leaving = await identity.depart(session, platform, user)
        row.status, row.sealed_person = DeletionStatus.ERASING, _sealed(platform, row.id, leaving)
        row.closed_workspaces = [str(one) for one in leaving.closed]
        row.left_workspaces = [str(one) for one in leaving.left]
        row.version += 1
        return leaving


def _sealed(platform: Platform, deletion_id: UUID, leaving: Leaving) -> bytes:
    return platform.keys.seal(
        PURPOSE, orjson.dumps([leaving.email, leaving.name, *leaving.former]), deletion_id.bytes
    )


def _opened(platform: Platform, row: AccountDeletion) -> Leaving:
    email, name, former = "", "", list[str]()
    if row.sealed_person is not None:
        email, name, *former = orjson.loads(platform.keys.open(PURPOSE, row.sealed_person, row.id.bytes))
    return Leaving(
        user_id=row.user_id,
        email=email,
        name=name,
        closed=tuple(UUID(one) for one in row.closed_workspaces),
        left=tuple(UUID(one) for one in row.left_workspaces),
        former=tuple(former),
    )


async def tidy_up_after(platform: Platform, deletion_id: UUID) -> None:
    """One account that is erased: its endings that are done again, and the marks. Sooner at first, then seldom."""
    async with platform.database.reading() as session:
        row = await repository.deletion(session, SCOPE, deletion_id)
    if row is None or row.status != DeletionStatus.ERASED or row.ended_at is None:
        return
    leaving = _opened(platform, row)
    for one in personal.endings():
        if one.again:
            await one.run(platform, leaving)
    await personal.erase_marked(platform, leaving)
    async with platform.database.transaction() as session:
        row = await repository.lock_deletion(session, SCOPE, deletion_id)
        if row is not None and row.ended_at is not None:
            now = platform.clock.now()
            is_over = now - row.ended_at > AFTERWARDS
            row.look_at = None if is_over else now + max(FIRST_LOOK, now - row.ended_at)


# --- what no slice below does ----------------------------------------------------------------------------------


@ends("account.notices", order=60)
async def strike_what_was_told(platform: Platform, leaving: Leaving) -> None:
    """Names in what others were told."""
    async with platform.database.transaction() as session:
        keys = await ai_credits.told_of(session, leaving)
        await notifications.strike(session, leaving, keys)


@ends("account.floor", order=70, again=True)
async def forget_on_the_floor(platform: Platform, leaving: Leaving) -> None:
    """Kept answers, flows that have ended, and what Stripe said of their customers."""
    async with platform.database.transaction() as session:
        callers = await identity.callers_of(session, leaving.user_id)
        # Customers were made under their accounts' names, with the address that was the person's then.
        callers += [f"account:{AccountType.WORKSPACE}:{one}" for one in leaving.left]
        callers += [f"account:{kind}:{account_id}" for kind, account_id in billing.accounts_of(leaving)]
        await repository.forget_calls(session, callers, leaving.account_ids)
    async with platform.database.reading() as session:
        theirs = await billing.ids_at_stripe(session, leaving.account_ids)
        others = await billing.ids_at_stripe(session, leaving.left)
    emptied = EVENTS_AT_A_TIME
    while emptied == EVENTS_AT_A_TIME:
        async with platform.database.transaction() as session:
            emptied = await repository.empty_events(session, theirs, EVENTS_AT_A_TIME)
    emptied = EVENTS_AT_A_TIME
    while emptied == EVENTS_AT_A_TIME:
        async with platform.database.transaction() as session:
            emptied = await repository.empty_events_about(session, others, _as_json(leaving.words), EVENTS_AT_A_TIME)


def _as_json(words: Sequence[str]) -> list[str]:
    """As they stand inside a JSON text: plain, and with everything beyond ASCII written out."""
    return [orjson.dumps(one).decode()[1:-1] for one in words] + [json.dumps(one)[1:-1] for one in words]
