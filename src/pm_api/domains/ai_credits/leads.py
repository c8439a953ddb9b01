"""Leads: visitors who try the product with credits of their own, and take the rest along when they register."""

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, ActorKind
from pm_api.core.platform import Platform
from pm_api.core.ratelimit import Policy
from pm_api.domains.ai_credits import ledger, outcomes
from pm_api.domains.ai_credits.book import Applied, Entry, LotDraft, fingerprint
from pm_api.domains.ai_credits.commands import Command, Grant, Release, Transfer
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.errors import TooManyLeads
from pm_api.domains.ai_credits.models.leads import Lead
from pm_api.domains.ai_credits.repository import leads as repository
from pm_api.domains.ai_credits.repository.ledger import lock_accounts
from pm_api.domains.ai_credits.schemas.leads import LeadAnswer, LeadCreate, LeadRead
from pm_api.domains.ai_credits.store import Order
from pm_api.identity.tokens import AccessTokens, InvalidAccessToken

CREDITS: Final = 20
LIFETIME: Final = timedelta(days=30)
DAY: Final = timedelta(days=1)
RETRY_S: Final = 3600
ADDRESS: Final = "lead-address"
SOURCE: Final = "lead"
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


async def create(platform: Platform, wanted: LeadCreate, address: str) -> LeadAnswer:
    """A new lead with credits and a token, in a transaction of its own. Raises TooManyRequests, TooManyLeads."""
    await platform.limiter.hit(Policy("leads", platform.settings.rate_limit_auth), f"address:{address}")
    digest = platform.keys.sign(ADDRESS, _network(address).encode())
    async with platform.database.transaction() as session:
        if platform.settings.rate_limits:
            await _limit(session, platform, digest)
        now = platform.clock.now()
        lead = Lead(
            id=platform.randomness.uuid(),
            email=wanted.email,
            source=wanted.source,
            address_digest=digest,
            created_at=now,
            expires_at=now + LIFETIME,
        )
        session.add(lead)
        await session.flush()
        grant = Grant(
            account_id=lead.id,
            key=f"s:lead:{lead.id}",
            fingerprint=fingerprint("lead", lead.id),
            by=ledger.by(Actor(ActorKind.LEAD, lead_id=lead.id)),
            lots=(
                LotDraft(
                    kind=LotKind.LEAD,
                    amount=CREDITS,
                    source_type=SOURCE,
                    source_ref=str(lead.id),
                    expires_at=lead.expires_at,
                ),
            ),
            description="Credits to try with",
        )
        [answer] = await ledger.apply(session, platform, [Order(AccountKind.LEAD, grant)])
        result = outcomes.settled(platform, answer)
    return LeadAnswer(
        lead=LeadRead(id=lead.id, expires_at=lead.expires_at),
        lead_token=platform.part(AccessTokens).issue_for_lead(lead.id),
        balance=outcomes.balance_after(result),
    )


async def _limit(session: AsyncSession, platform: Platform, digest: bytes) -> None:
    """By the rows of the last day, which no restart forgets. Raises TooManyLeads."""
    since = platform.clock.now() - DAY
    most_a_day = platform.settings.leads_per_day
    await repository.queue_up(session, digest)
    of_address = await repository.count_of_address(session, digest, since)
    if of_address >= platform.settings.leads_per_address or await repository.is_busier(session, since, most_a_day):
        raise TooManyLeads(headers={"Retry-After": str(RETRY_S)})


def _network(address: str) -> str:
    """Who holds one IPv6 address holds at least its /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))


async def hand_over(session: AsyncSession, platform: Platform, token: str, user_id: UUID) -> int:
    """Move what a lead has left to the wallet of the user they become, once; returns how much. It keeps the end it
    had: the lead's own, and what runs out later that later one.

    A token that is used, forged or expired moves nothing and is no error: nobody's registration fails by it. What was
    held for work under way comes along; that work finds its hold released.
    """
    try:
        lead_id = platform.part(AccessTokens).verify_lead(token)
    except InvalidAccessToken:
        return 0
    await lock_accounts(session, [lead_id, user_id])
    expires_at = await repository.convert(session, lead_id, user_id, platform.clock.now())
    if expires_at is None:
        return 0
    by = ledger.by(Actor(ActorKind.LEAD, lead_id=lead_id))
    commands: list[Command] = [
        Release(lead_id, f"s:lead-release:{hold_id}", fingerprint("lead release", hold_id), by, hold_id)
        for hold_id in await repository.open_holds(session, lead_id)
    ]
    commands.append(
        Transfer(
            account_id=lead_id,
            key=f"s:lead-hand-over:{lead_id}",
            fingerprint=fingerprint("lead hand-over", lead_id),
            by=by,
            amount=None,
            description="Registered",
        )
    )
    orders = [Order(AccountKind.LEAD, command) for command in commands]
    moved = (await ledger.apply(session, platform, orders))[-1].result
    if not isinstance(moved, Applied):
        return 0  # nothing was left
    [line, *_] = moved.entries
    grant = Grant(
        account_id=user_id,
        key=f"s:lead:{lead_id}",
        fingerprint=fingerprint("lead", lead_id),
        by=by,
        lots=await _moved(session, lead_id, line, expires_at),
        description="Credits from before you registered",
    )
    [answer] = await ledger.apply(session, platform, [Order(AccountKind.USER, grant)])
    outcomes.settled(platform, answer)
    return -line.amount


async def _moved(session: AsyncSession, lead_id: UUID, line: Entry, lead_ends: datetime) -> tuple[LotDraft, ...]:
    """What left a lead, as lots for the user: one for each end and service there were, the lead's own first."""
    taken = {one.lot_id: -one.amount for one in line.allocations}
    sums: dict[tuple[datetime | None, str | None], int] = {}
    for lot in await repository.lots(session, lead_id, list(taken)):
        ends = None if lot.expires_at is None else max(lot.expires_at, lead_ends)
        sums[ends, lot.service] = sums.get((ends, lot.service), 0) + taken[lot.id]
    ordered = sorted(sums.items(), key=lambda one: (one[0][0] or _NEVER, one[0][1] or ""))
    return tuple(
        LotDraft(
            kind=LotKind.LEAD,
            amount=amount,
            source_type=SOURCE,
            source_ref=str(lead_id) if number == 1 else f"{lead_id}:{number}",
            expires_at=ends,
            service=service,
        )
        for number, ((ends, service), amount) in enumerate(ordered, start=1)
    )
