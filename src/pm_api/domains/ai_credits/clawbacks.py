"""Claw-back: what was refunded comes back, wherever it is.

From the buyer's own lots first. What those no longer have is looked for where it was given: gifts nobody has claimed
return, and from those who claimed what they have not spent is taken, newest first, never more than the gift drew from
the refunded lots and never as a debt of theirs. What is spent, the buyer owes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger
from pm_api.domains.ai_credits.book import Applied, Refused, canonical_json, fingerprint
from pm_api.domains.ai_credits.commands import ClawBack, Demand
from pm_api.domains.ai_credits.enums import AccountKind, EntryType, GiftStatus
from pm_api.domains.ai_credits.gift_claims import LINK, close, is_over, tell_giver
from pm_api.domains.ai_credits.repository import clawbacks as repository
from pm_api.domains.ai_credits.repository.clawbacks import BoughtLot, ClaimedLot
from pm_api.domains.ai_credits.repository.gifts import GIFT_SOURCE
from pm_api.domains.ai_credits.repository.ledger import lock_accounts
from pm_api.domains.ai_credits.store import Answer, Order
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category

ATTEMPTS: Final = 5
MOST_LOTS: Final = 1000
REASON: Final = "The purchase these credits came from was refunded."


class PurchaseNotGranted(Exception):
    """The account never got these lots: nothing can come back, at least not yet."""


class ClawBackBusy(Exception):
    """The gifts of this purchase are being claimed faster than they can be followed: try again."""


class _ClaimedMeanwhile(Exception):
    """Somebody claimed a gift before it was locked: their account has to be locked too, in its place."""


@dataclass(frozen=True, slots=True)
class Refunded:
    """A purchase and how much of its price is refunded. `source_refs` names its lots, the bonus among them."""

    account_kind: AccountKind
    account_id: UUID
    source_type: str
    source_refs: tuple[str, ...]
    refunded_minor: int
    paid_minor: int
    reference: str
    forgive_expired: bool = False


@dataclass(frozen=True, slots=True)
class ClawedBack:
    """What one claw-back did: due = taken + elsewhere + debt."""

    taken: int = 0
    elsewhere: int = 0
    debt: int = 0
    given_back: int = 0


@dataclass(frozen=True, slots=True)
class _Taking:
    """What is taken from one claimant's lot, and for which refunded lots."""

    claimed: ClaimedLot
    parts: Mapping[UUID, int]

    @property
    def amount(self) -> int:
        return sum(self.parts.values())


async def claw_back(
    session: AsyncSession,
    platform: Platform,
    *,
    account_kind: AccountKind | str,
    account_id: UUID,
    source_type: str,
    source_refs: Sequence[str],
    refunded_minor: int,
    paid_minor: int,
    reference: str,
    reinstate: bool = False,
    forgive_expired: bool = False,
) -> ClawedBack:
    """Bring the account in line with what is refunded of a purchase in all (`refunded_minor` of `paid_minor`, minor
    units); repeated and late events change nothing. Less than before only counts with `reinstate` (a dispute won).
    With `forgive_expired` what ran out unused lessens what is owed: it was of no use to anybody.
    Takes locks: call it with no credit account locked. Raises PurchaseNotGranted, ClawBackBusy.
    """
    if paid_minor <= 0 or refunded_minor < 0:
        raise ValueError(f"cannot claw back {refunded_minor} of {paid_minor}")
    refunded = Refunded(
        AccountKind(account_kind),
        account_id,
        source_type,
        tuple(source_refs),
        refunded_minor,
        paid_minor,
        reference,
        forgive_expired,
    )
    people = await lock_involved(session, refunded)
    # Holds that are over and lots that have run out are written down first: what is usable now is then in the rows.
    await ledger.expire_due(session, platform, sorted({account_id, *people}))
    lots = await _lots(session, refunded)
    totals = {ref: _demanded(lot, refunded) for ref, lot in lots.items()}
    if not reinstate:
        totals = {ref: max(total, lots[ref].clawed_back) for ref, total in totals.items()}
    if all(totals[ref] == lot.clawed_back for ref, lot in lots.items()):
        return ClawedBack()
    takings = await _follow(session, platform, refunded, totals)
    elsewhere = {ref: sum(taking.parts.get(lot.id, 0) for taking in takings) for ref, lot in lots.items()}
    number = await repository.seq(session, account_id)
    before = sum(lot.clawed_back for lot in lots.values())
    key = f"s:clawback:{reference}:{refunded_minor}:{before}:{number}"
    await _take_from_claimants(session, platform, refunded, takings, key)
    return await _settle_buyer(session, platform, refunded, lots, totals, elsewhere, key)


def _demanded(lot: BoughtLot, refunded: Refunded) -> int:
    """A lot's share of what is refunded, rounded up: half a credit cannot be kept. What ran out unused counts as
    brought back, so that it does not matter whether the refund or the end was heard of first.
    """
    share = min(lot.amount, -(-lot.amount * refunded.refunded_minor // refunded.paid_minor))
    if not refunded.forgive_expired:
        return share
    return min(lot.taken, share) + max(0, share - lot.taken - lot.expired)


async def lots_of(session: AsyncSession, account_id: UUID, source_type: str, reference: str) -> list[str]:
    """The lots that came by one purchase, or by one plan: those named `reference`, and `reference:…`."""
    return await repository.refs_beginning_with(session, account_id, source_type, reference, MOST_LOTS)


async def _lots(session: AsyncSession, refunded: Refunded) -> dict[str, BoughtLot]:
    """The purchase's lots by reference, in the order they were named; raises PurchaseNotGranted."""
    found = await repository.bought_lots(session, refunded.account_id, refunded.source_type, refunded.source_refs)
    missing = [ref for ref in refunded.source_refs if ref not in found]
    if missing:
        raise PurchaseNotGranted(f"{refunded.reference}: no lot {missing} of {refunded.source_type}")
    return {ref: found[ref] for ref in refunded.source_refs}


# --- locks -----------------------------------------------------------------------------------------------------


async def lock_involved(session: AsyncSession, refunded: Refunded) -> set[UUID]:
    """Lock the buyer's account and those of everybody who has something left of its gifts (whom it returns), in id
    order; then the gifts. Raises PurchaseNotGranted, ClawBackBusy.

    Who claimed while the locks were waited for is found by looking again: then all are let go and taken anew.
    """
    for _ in range(ATTEMPTS):
        try:
            async with session.begin_nested():
                return await _lock_once(session, refunded)
        except _ClaimedMeanwhile:
            continue
    raise ClawBackBusy(refunded.reference)


async def _lock_once(session: AsyncSession, refunded: Refunded) -> set[UUID]:
    lot_ids = [lot.id for lot in (await _lots(session, refunded)).values()]
    people = await _people(session, refunded, await repository.drawn(session, refunded.account_id, lot_ids))
    await lock_accounts(session, {refunded.account_id, *people})
    gifts = await repository.drawn(session, refunded.account_id, lot_ids)  # no more are made while it is locked
    await repository.lock_gifts(session, refunded.account_id, list(gifts))
    if not await _people(session, refunded, gifts) <= people:
        raise _ClaimedMeanwhile
    return people


async def _people(session: AsyncSession, refunded: Refunded, gifts: Mapping[UUID, object]) -> set[UUID]:
    found = await repository.claimed_lots(session, refunded.account_id, list(gifts))
    return {one.user_id for one in found}


# --- following gifts -------------------------------------------------------------------------------------------


async def _follow(
    session: AsyncSession, platform: Platform, refunded: Refunded, totals: Mapping[str, int]
) -> list[_Taking]:
    """Return unclaimed gifts as far as the buyer's own lots are short; then what is to be taken from claimants."""
    needs = await _needs(session, refunded, totals)
    if not needs:
        return []
    gifts = await repository.drawn(session, refunded.account_id, list(needs))
    rows = await repository.gifts(session, refunded.account_id, list(gifts))
    for gift_id, lots in gifts.items():
        given = rows[gift_id]
        if given.status != GiftStatus.OPEN or not any(lots.get(lot_id) for lot_id in needs):
            continue
        ended_as = GiftStatus.EXPIRED if is_over(given, platform.clock.now()) else GiftStatus.WITHDRAWN
        await close(session, platform, given, ended_as, by=ledger.by_system())
        await tell_giver(
            session,
            platform,
            given,
            type="credits.gift_withdrawn",
            dedup_key=f"gift:{given.id}:withdrawn",
            title=f"Your gift of {given.amount} credits was withdrawn",
            body=REASON,
        )
        needs = await _needs(session, refunded, totals)
        if not needs:
            return []
    return await _takings(session, refunded, needs)


async def _needs(session: AsyncSession, refunded: Refunded, totals: Mapping[str, int]) -> dict[UUID, int]:
    """By lot, what is due and not there."""
    lots = await _lots(session, refunded)
    short = {lot.id: totals[ref] - lot.clawed_back - lot.usable for ref, lot in lots.items()}
    return {lot_id: missing for lot_id, missing in short.items() if missing > 0}


async def _takings(session: AsyncSession, refunded: Refunded, needs: dict[UUID, int]) -> list[_Taking]:
    gifts = await repository.drawn(session, refunded.account_id, list(needs))
    before = await repository.followed(session, refunded.account_id, list(gifts))
    left = {
        (gift_id, lot_id): amount - before.get((gift_id, lot_id), 0)
        for gift_id, lots in gifts.items()
        for lot_id, amount in lots.items()
    }
    takings = []
    for claimed in await repository.claimed_lots(session, refunded.account_id, list(gifts)):
        usable = claimed.usable
        parts: dict[UUID, int] = {}
        for lot_id, missing in needs.items():
            part = min(missing, usable, left.get((claimed.gift_id, lot_id), 0))
            if part > 0:
                parts[lot_id] = part
                usable -= part
                needs[lot_id] -= part
                left[claimed.gift_id, lot_id] -= part
        if parts:
            takings.append(_Taking(claimed, parts))
    return takings


async def _take_from_claimants(
    session: AsyncSession, platform: Platform, refunded: Refunded, takings: Sequence[_Taking], key: str
) -> None:
    if not takings:
        return
    orders = [
        Order(
            AccountKind.USER,
            ClawBack(
                account_id=taking.claimed.user_id,
                key=f"{key}:{taking.claimed.source_ref}",
                fingerprint=fingerprint("claw back", taking.claimed.source_ref, taking.amount),
                by=ledger.by_system(),
                source_type=GIFT_SOURCE,
                demands=(Demand(taking.claimed.source_ref, total=taking.claimed.clawed_back + taking.amount),),
                description="Gift taken back",
                details=canonical_json({"giftId": taking.claimed.gift_id, "reason": "refund"}),
            ),
        )
        for taking in takings
    ]
    answers = await ledger.apply(session, platform, orders)
    counted: dict[tuple[UUID, UUID], int] = {}
    for taking, answer in zip(takings, answers, strict=True):
        if _taken(_applied(answer)) != taking.amount:
            # It ran out between two looks at the clock: all of this is rolled back, and done again.
            raise ClawBackBusy(refunded.reference)
        for lot_id, part in taking.parts.items():
            place = (taking.claimed.gift_id, lot_id)
            counted[place] = counted.get(place, 0) + part
        await notifications.notify(
            session,
            platform,
            user_ids=[taking.claimed.user_id],
            category=Category.CREDITS,
            type="credits.gift_taken_back",
            dedup_key=f"gift-taken:{answer.result.entries[0].id}" if isinstance(answer.result, Applied) else key,
            title=f"{taking.amount} credits of a gift were taken back",
            body=REASON,
            reason="You received this gift.",
            data={"giftId": str(taking.claimed.gift_id), "amount": taking.amount},
            link=LINK,
        )
    await repository.count_followed(session, refunded.account_id, counted)


def _applied(answer: Answer) -> Applied:
    if isinstance(answer.result, Applied):
        return answer.result
    reason = answer.result.reason if isinstance(answer.result, Refused) else "the key belongs to another command"
    raise RuntimeError(f"a claw-back was refused: {reason}")


def _taken(result: Applied) -> int:
    return -sum(entry.amount for entry in result.entries if entry.type == EntryType.CLAWBACK)


async def _settle_buyer(
    session: AsyncSession,
    platform: Platform,
    refunded: Refunded,
    lots: Mapping[str, BoughtLot],
    totals: Mapping[str, int],
    elsewhere: Mapping[str, int],
    key: str,
) -> ClawedBack:
    command = ClawBack(
        account_id=refunded.account_id,
        key=key,
        fingerprint=fingerprint("claw back", refunded.reference, dict(totals), dict(elsewhere)),
        by=ledger.by_system(),
        source_type=refunded.source_type,
        demands=tuple(Demand(ref, total=totals[ref], elsewhere=elsewhere[ref]) for ref in lots),
        description="Purchase refunded",
        details=canonical_json({"reference": refunded.reference, "refundedMinor": refunded.refunded_minor}),
    )
    [answer] = await ledger.apply(session, platform, [Order(refunded.account_kind, command)])
    taken = _taken(_applied(answer))
    due = sum(max(0, totals[ref] - lot.clawed_back) for ref, lot in lots.items())
    followed = sum(elsewhere.values())
    return ClawedBack(
        taken=taken,
        elsewhere=followed,
        debt=due - taken - followed,
        given_back=sum(max(0, lot.clawed_back - totals[ref]) for ref, lot in lots.items()),
    )
