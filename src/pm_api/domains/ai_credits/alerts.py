"""Alerts: who owns credits is told when they run low and before they run out, inside the app.

The ledger writes a low balance down in the transaction of the spend, with a job that delivers it; a sweep writes down
lots that are about to expire. Another sweep delivers what no job did.

What is told is what is true at the moment of delivery, with the figures of that moment. A low balance is told when no
grant has come since, and what is available is still at most the alert's percent of what was there after the last
grant; of several that are still true only the lowest is told. A lot is told of while it lives and has free credits.
The rest is marked delivered and not told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.domains.ai_credits import topup_charges
from pm_api.domains.ai_credits.catalogue import Catalogue, Offer
from pm_api.domains.ai_credits.enums import AlertKind, Service
from pm_api.domains.ai_credits.errors import UnknownService
from pm_api.domains.ai_credits.models.ledger import CreditAlert, CreditGrant
from pm_api.domains.ai_credits.repository import alerts as repository
from pm_api.domains.ai_credits.repository import insight as catalogue_repository
from pm_api.domains.ai_credits.repository import pools as members
from pm_api.domains.ai_credits.repository.alerts import EndingLot, NewAlert, Standing, WaitingAlert
from pm_api.domains.ai_credits.suggestions import SIMILAR, WORDS
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category

THRESHOLDS: Final = ((timedelta(0), timedelta(days=1), ":1d"), (timedelta(days=1), timedelta(days=7), ":7d"))
"""(beyond, within, suffix of the reference): a lot that has less than a day to live is warned of once, not twice."""
LOW_PERCENT: Final = 20
USAGE_DAYS: Final = 30
LINK: Final = "/credits"


@dataclass(frozen=True, slots=True)
class Offers:
    """What can be bought, what plans bring, what services cost."""

    packs: Sequence[Offer]
    plans: Mapping[str, int]
    costs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Advice:
    """A sentence for people, and the same in names."""

    text: str
    data: dict[str, Any]


def advice(available: int, base: int, used: Mapping[str, int], offers: Offers) -> Advice:
    """The cheapest pack that lifts the balance above 20 % of what there was; without one the smallest plan that does.
    And, for the service that took most, one that does similar work for less.
    """
    texts: list[str] = []
    data: dict[str, Any] = {}
    needed = base * LOW_PERCENT // 100 + 1 - available
    lifting = [one.pack for one in offers.packs if _credits_for_anything(one) >= needed]
    enough = [(credits, name) for name, credits in offers.plans.items() if credits >= needed]
    if lifting:
        pack = min(lifting, key=lambda one: (one.price_minor or 0, one.name))
        data["pack"] = pack.name
        texts.append(f"The {pack.name} pack brings {pack.credits + pack.bonus} credits.")
    elif enough:
        credits, plan = min(enough)
        data["plan"] = plan
        texts.append(f"The plan {plan} brings {credits} credits each period.")
    service = max(used, key=lambda one: (used[one], one), default="")
    instead = SIMILAR.get(Service(service)) if service in Service.__members__ else None
    if instead is not None and 0 < offers.costs.get(instead, 0) < offers.costs.get(service, 0):
        data |= {"service": service, "instead": instead.value}
        texts.append(
            f"Most went into {WORDS[Service(service)]} at {offers.costs[service]} credits; "
            f"{WORDS[instead]} does similar work for {offers.costs[instead]}."
        )
    return Advice(" ".join(texts), data)


def _credits_for_anything(offer: Offer) -> int:
    """What a pack brings that is not limited to one service."""
    if offer.lots:
        return sum(lot.credits for lot in offer.lots if lot.service is None)
    return offer.pack.credits + offer.pack.bonus


async def offers_now(platform: Platform) -> Offers:
    """Read before the first batch: the catalogue reads over a connection of its own."""
    catalogue = platform.part(Catalogue)
    costs: dict[str, int] = {}
    for service in Service:
        try:
            costs[service] = (await catalogue.price_of(service)).cost
        except UnknownService:  # not sold at present
            continue
    packs = await catalogue.packs()
    async with platform.database.reading() as session:
        plans = await catalogue_repository.plan_grants(session)
    return Offers(packs, plans, costs)


async def any_waiting(platform: Platform) -> bool:
    """One look: most jobs and sweeps find that another has told everything."""
    async with platform.database.reading() as session:
        return await repository.any_waiting(session)


async def deliver(session: AsyncSession, platform: Platform, found: Sequence[WaitingAlert], *, offers: Offers) -> int:
    """Tell people of those alerts that still wait, in one transaction with marking them told; returns how many did.
    Any number of workers may do so at once: each takes its own.
    """
    waiting = await repository.lock_waiting(session, found)
    if not waiting:
        return 0
    now = platform.clock.now()
    account_ids = sorted({one.account_id for one in waiting})
    accounts = await repository.standings(session, account_ids, now)
    low = _lowest_that_hold(waiting, accounts)
    since = now.astimezone(UTC).date() - timedelta(days=USAGE_DAYS)
    used = await repository.used_by_service(session, account_ids, since)
    expiring = [(one.account_id, UUID(one.details["lotId"])) for one in waiting if one.kind == AlertKind.EXPIRING]
    lots = await repository.lots(session, expiring) if expiring else {}
    managers: dict[UUID, list[UUID]] = {}
    for alert in waiting:
        alert.delivered_at = now
        account = accounts[alert.account_id]
        told: dict[str, Any] | None = None
        if alert.kind == AlertKind.LOW_BALANCE:
            if low.get(account.account_id) is alert:
                told = _low_balance(alert, account, used.get(account.account_id, {}), offers)
        else:
            told = _expiring(alert, lots.get(UUID(alert.details["lotId"])), now)
        if told is None:
            continue
        if account.workspace_id is not None and account.account_id not in managers:
            managers[account.account_id] = await members.managers(session, account.workspace_id)
        receivers = [account.user_id] if account.user_id is not None else managers.get(account.account_id, [])
        if receivers:
            await notifications.notify(
                session,
                platform,
                user_ids=receivers,
                category=Category.CREDITS,
                dedup_key=f"credits.alert:{account.account_id}:{alert.kind}:{alert.reference}",
                reason="They are your credits."
                if account.user_id is not None
                else "You manage this workspace's credits.",
                link=LINK,
                workspace_id=account.workspace_id,
                **told,
            )
    await topup_charges.look_at_low(session, platform, among=account_ids)
    return len(waiting)


def _lowest_that_hold(waiting: Sequence[CreditAlert], accounts: Mapping[UUID, Standing]) -> dict[UUID, CreditAlert]:
    """The one alert of each account that is to be told, if any: the rule at the head of this module."""
    found: dict[UUID, CreditAlert] = {}
    for alert in waiting:
        if alert.kind != AlertKind.LOW_BALANCE:
            continue
        account, percent = accounts[alert.account_id], alert.details["percent"]
        granted_since = account.alerted_percent > percent or account.base != alert.details["base"]
        # The lowest that was noted may be in another worker's hands, or told already.
        outdone = account.alerted_percent < percent and _holds(account, account.alerted_percent)
        if granted_since or outdone or not _holds(account, percent):
            continue
        rival = found.get(account.account_id)
        if rival is None or percent <= rival.details["percent"]:
            found[account.account_id] = alert
    return found


def _holds(account: Standing, percent: int) -> bool:
    return account.available * 100 <= account.base * percent


def _low_balance(alert: CreditAlert, account: Standing, used: Mapping[str, int], offers: Offers) -> dict[str, Any]:
    percent, available, base = alert.details["percent"], account.available, account.base
    told = advice(available, base, used, offers)
    return {
        "type": "credits.low_balance",
        "title": f"At most {percent} % of the credits are left" if available else "No credits are left",
        "body": f"{available} credits are left of {base} after the last grant. {told.text}".rstrip(),
        "data": {
            "accountId": str(account.account_id),
            "percent": percent,
            "available": available,
            "base": base,
            **told.data,
        },
    }


def _expiring(alert: CreditAlert, lot: CreditGrant | None, now: datetime) -> dict[str, Any] | None:
    if lot is None or lot.expires_at is None or lot.expires_at <= now or lot.remaining <= lot.held:
        return None
    credits = lot.remaining - lot.held
    return {
        "type": "credits.expiring",
        "title": f"{credits} credits expire within {'a day' if alert.reference.endswith(':1d') else '7 days'}",
        "body": f"{credits} credits expire on {lot.expires_at.astimezone(UTC):%Y-%m-%d at %H:%M} UTC. "
        "Run what is planned before then.",
        "data": {
            "accountId": str(lot.account_id),
            "lotId": str(lot.id),
            "credits": credits,
            "expiresAt": written(lot.expires_at),
        },
    }


async def note_expiring(session: AsyncSession, platform: Platform, lots: Sequence[EndingLot], *, suffix: str) -> None:
    """Write down lots that are about to expire, each once for each threshold."""
    made = [NewAlert(lot.account_id, f"{lot.lot_id}{suffix}", {"lotId": str(lot.lot_id)}) for lot in lots]
    await repository.insert_expiring(session, made, platform.clock.now())
