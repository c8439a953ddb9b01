"""Reminders to those who owe: on days 0, 3 and 6 of the grace, and when it ends and the free plan's limits apply.

What stands at the moment of telling decides: who has paid is not reminded. Of several that are due at once, because
nobody was there to send them, only the last is told.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.domains.billing import telling
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.models.invoices import Invoice
from pm_api.domains.billing.models.usage_records import Dunning
from pm_api.domains.billing.repository import dunnings as repository
from pm_api.domains.billing.repository import invoices as invoice_rows
from pm_api.domains.billing.repository.dunnings import DueReminder
from pm_api.domains.billing.telling import money
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType, Status
from pm_api.entitlements.rules import GRACE, Standing

SCOPE: Final = SystemScope("reminders of what is due")
REMINDERS: Final = (timedelta(0), timedelta(days=3), timedelta(days=6))
PAID, LAPSED, ENDED = "PAID", "LAPSED", "ENDED"


async def follow(session: AsyncSession, platform: Platform, account: Account) -> None:
    """Begin to remind an account that is in its grace, or stop; what is due now is told at once."""
    standing = await entitlements.standing_of(session, platform, *account)
    if standing.status is Status.GRACE and standing.grace_ends_at is not None:
        began_at = standing.grace_ends_at - GRACE
        await repository.begin(
            session,
            SCOPE,
            {
                "id": platform.randomness.uuid(),
                "account_kind": account[0],
                "account_id": account[1],
                "plan": standing.plan,
                "began_at": began_at,
                "grace_ends_at": standing.grace_ends_at,
                "step": 0,
                "due_at": began_at,
            },
        )
    await _remind(session, platform, account[1])


async def due(session: AsyncSession, now: datetime, after: DueReminder | None, limit: int) -> Sequence[DueReminder]:
    """Whose reminder is due at a moment: the page after a place."""
    return await repository.due(session, SCOPE, now, after, limit)


async def remind(session: AsyncSession, platform: Platform, found: Sequence[DueReminder]) -> None:
    """Tell these what is due now; who was told or has paid meanwhile is passed by."""
    for one in found:
        await _remind(session, platform, one.account_id)


async def _remind(session: AsyncSession, platform: Platform, account_id: UUID) -> None:
    row = await repository.lock_open(session, SCOPE, account_id)
    if row is None:
        return
    now = platform.clock.now()
    account = AccountType(row.account_kind), row.account_id
    standing = await entitlements.standing_of(session, platform, *account)
    if standing.status is Status.GRACE and standing.grace_ends_at is not None:
        # Something older may have been paid, and a younger invoice still be due.
        row.grace_ends_at, row.began_at = standing.grace_ends_at, standing.grace_ends_at - GRACE
        await _remind_of_grace(session, platform, account, row, now)
    elif standing.is_bought:
        _close(row, PAID, now)
    elif now < row.grace_ends_at:
        _close(row, ENDED, now)
    else:
        await _tell_end(session, platform, account, row)
        _close(row, LAPSED, now)


async def _remind_of_grace(
    session: AsyncSession, platform: Platform, account: Account, row: Dunning, now: datetime
) -> None:
    due = [number for number, after in enumerate(REMINDERS) if row.began_at + after <= now]
    if due and due[-1] >= row.step:
        await _tell_reminder(session, platform, account, row, REMINDERS[due[-1]].days)
        row.step = due[-1] + 1
    following = [row.began_at + after for after in REMINDERS[row.step :]]
    row.due_at = min(following, default=row.grace_ends_at)


def _close(row: Dunning, outcome: str, now: datetime) -> None:
    row.outcome, row.closed_at, row.due_at = outcome, now, None


# --- what is told ----------------------------------------------------------------------------------------------


async def _tell_reminder(session: AsyncSession, platform: Platform, account: Account, row: Dunning, day: int) -> None:
    unpaid = await invoice_rows.newest_unpaid(session, SCOPE, account[1])
    await telling.tell(
        session,
        platform,
        account,
        type="billing.payment_failed",
        dedup_key=f"dunning:{row.id}:{day}",
        title=_title(unpaid, day),
        body=f"Everything stays as it is until {_day(row.grace_ends_at)}. Please see to the payment method, or pay "
        "the invoice. From then on the limits of the free plan apply; nothing is deleted.",
        data={"day": day, "plan": row.plan, "graceEndsAt": written(row.grace_ends_at), **_about(unpaid)},
    )


def _title(unpaid: Invoice | None, day: int) -> str:
    what = f"A payment of {money(unpaid.due_minor, unpaid.currency)}" if unpaid is not None else "A payment"
    return f"{what} failed" if day == 0 else f"{what} is still due"


async def _tell_end(session: AsyncSession, platform: Platform, account: Account, row: Dunning) -> None:
    free: Standing = await entitlements.standing_of(session, platform, *account)
    unpaid = await invoice_rows.newest_unpaid(session, SCOPE, account[1])
    await telling.tell(
        session,
        platform,
        account,
        type="billing.grace_ended",
        dedup_key=f"dunning:{row.id}:end",
        title="The limits of the free plan apply now",
        body="The payment did not come in time. Nothing is deleted: what is beyond the limits can be read, and "
        "nothing can be added to it. As soon as the invoice is paid, everything is as before.",
        data={"previousPlan": row.plan, "plan": free.plan, **_about(unpaid)},
    )


def _about(unpaid: Invoice | None) -> dict[str, object]:
    if unpaid is None:
        return {}
    return {
        "invoiceId": str(unpaid.id),
        "number": unpaid.number,
        "amount": unpaid.due_minor,
        "currency": unpaid.currency,
        "hostedUrl": unpaid.hosted_url,
        **({"action": "Pay the invoice"} if unpaid.hosted_url else {}),
    }


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"
