"""Rules of reminders: who is due, what it costs, what it says."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.domains.ai_credits import system_spends
from pm_api.domains.ai_credits.catalogue import Price
from pm_api.domains.notifications import absences
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.absences import Absence
from pm_api.domains.notifications.enums import Category

TYPE: Final = "reminders.inactivity"
LINK: Final = "/notifications"


async def remind(session: AsyncSession, platform: Platform, user_id: UUID, price: Price) -> bool:
    """Remind one person who has stayed away, and take the price of it; False when they are back, were reminded by
    another worker, or have too few credits.
    """
    absence = await absences.claim(session, platform, user_id)
    if absence is None:
        return False
    key = f"reminder:{user_id}:{written(absence.since)}"
    paid = await system_spends.take(
        session,
        platform,
        user_id,
        price,
        key=key,
        description="Reminder after an absence",
        details={"absentSince": written(absence.since), "days": absence.days},
    )
    if not paid:
        return False
    told = await notifications.notify(
        session,
        platform,
        user_ids=[user_id],
        category=Category.REMINDERS,
        type=TYPE,
        dedup_key=key,
        title=f"You have not been here for {absence.days} days",
        body=_body(absence),
        reason=f"You switched this reminder on. It cost {_credits(price.cost)} of your wallet.",
        data={"days": absence.days, "unread": absence.unread, "credits": price.cost},
        link=LINK,
    )
    return told == 1


def _body(absence: Absence) -> str:
    if not absence.unread:
        return "Nothing has come since that you have not read."
    what = "One notification waits" if absence.unread == 1 else f"{absence.shown} notifications wait"
    return "\n".join([f"{what} for you:", *(f"• {title}" for title in absence.newest)])


def _credits(count: int) -> str:
    return "1 credit" if count == 1 else f"{count} credits"
