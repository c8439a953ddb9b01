"""What becomes of credits when their person or workspace is gone for good: gifts nobody claimed come back, open holds
are released, what is left is voided, and nothing comes any more. The book stays, line by line, and still proves.
"""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.personal import Leaving, ends, hands_out, keeps_back
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import gift_claims, ledger, plans
from pm_api.domains.ai_credits.book import fingerprint
from pm_api.domains.ai_credits.commands import Release, Void
from pm_api.domains.ai_credits.enums import AccountKind, GiftStatus
from pm_api.domains.ai_credits.models import catalogue, corrections, gifts, insight, leads, topups, usage_logs
from pm_api.domains.ai_credits.models import ledger as book
from pm_api.domains.ai_credits.models import pools as pool_rows
from pm_api.domains.ai_credits.repository import closing as repository
from pm_api.domains.ai_credits.repository import gifts as gift_rows
from pm_api.domains.ai_credits.store import Order
from pm_api.identity import leaving as identity

AT_A_TIME: Final = 100
WHY: Final = "The account was closed"


async def close(platform: Platform, account_id: UUID) -> None:
    """Close one account; what is closed already stays so. Some at a time, each a short transaction."""
    while await _close_some(platform, account_id):
        pass


async def _close_some(platform: Platform, account_id: UUID) -> bool:
    """Whether there may be more."""
    async with platform.database.transaction() as session:
        kind = await repository.lock(session, account_id)
        if kind is None:
            return False
        now = platform.clock.now()
        await repository.stop_topups(session, account_id, now)
        await plans.end_plan(session, account_id)
        await ledger.expire_due(session, platform, [account_id])
        given = await repository.open_gifts(session, account_id, AT_A_TIME)
        for gift_id in given:
            gift = await gift_rows.lock_gift(session, account_id, gift_id)
            if gift is not None and gift.status == GiftStatus.OPEN:
                await gift_claims.close(session, platform, gift, GiftStatus.CANCELLED, by=ledger.by_system())
        held = await repository.open_holds(session, account_id, AT_A_TIME)
        await _release(session, platform, kind, [(account_id, hold_id) for hold_id in held])
        lots = await repository.free_lots(session, account_id, now, AT_A_TIME)
        await ledger.apply(session, platform, [Order(kind, _void(platform, account_id, lot_id)) for lot_id in lots])
        await repository.stop_resets(session, account_id, now)
        return AT_A_TIME in (len(given), len(held), len(lots))


async def _release(
    session: AsyncSession, platform: Platform, kind: AccountKind, holds: list[tuple[UUID, UUID]]
) -> None:
    orders = [
        Order(
            kind,
            Release(
                account_id=account_id,
                key=f"s:closed:hold:{hold_id}",
                fingerprint=fingerprint("closed hold", hold_id),
                by=ledger.by_system(),
                hold_id=hold_id,
            ),
        )
        for account_id, hold_id in holds
    ]
    if orders:
        await ledger.apply(session, platform, orders)


def _void(platform: Platform, account_id: UUID, lot_id: UUID) -> Void:
    # A key of its own each time: what comes back to a lot later has to go too.
    return Void(
        account_id=account_id,
        key=f"s:closed:lot:{lot_id}:{platform.randomness.uuid()}",
        fingerprint=fingerprint("closed lot", lot_id),
        by=ledger.by_system(),
        description=WHY,
        lot_id=lot_id,
    )


@ends("ai_credits", order=30, again=True)
async def close_with_person(platform: Platform, leaving: Leaving) -> None:
    """Their wallet and the pools that went with them; in pools that go on, what they hold is free again."""
    for account_id in leaving.account_ids:
        await close(platform, account_id)
    async with platform.database.reading() as session:
        callers = await identity.callers_of(session, leaving.user_id)
    own, theirs = ["c:"], [f"c:{one}:" for one in callers]
    for account_id in (*leaving.account_ids, *leaving.left):
        prefixes = own if account_id in leaving.account_ids else theirs
        forgotten = AT_A_TIME
        while forgotten == AT_A_TIME:
            async with platform.database.transaction() as session:
                forgotten = await repository.forget_answers(session, account_id, prefixes, AT_A_TIME)
    async with platform.database.transaction() as session:
        held = await repository.holds_elsewhere(session, leaving.user_id, leaving.left, AT_A_TIME)
        await _release(session, platform, AccountKind.WORKSPACE, list(held))


async def told_of(session: AsyncSession, leaving: Leaving) -> list[str]:
    """The keys of what others were told about this person: who gave them credits, who asks for more."""
    places = (*leaving.account_ids, *leaving.left)
    given = await repository.gifts_made_by(session, leaving.user_id, places)
    asked = await repository.asked_for(session, leaving.user_id, places)
    return [*(f"gift:{one}" for one in given), *(f"credits.pool_request:{one}" for one in asked)]


# --- what is handed out -----------------------------------------------------------------------------------------

hands_out(book.CreditAccount, "credits/wallet.json", "Your wallet: what came, what went, what is there.")
hands_out(book.CreditEntry, "credits/entries.json", "Every line of your wallet's book.", of="account_id")
hands_out(book.CreditGrant, "credits/lots.json", "Where your credits came from, and what is left.")
hands_out(book.CreditAllocation, "credits/allocations.json", "Which line took how much from which lot.")
hands_out(book.CreditHold, "credits/holds.json", "Credits that were set aside for work.", of="account_id")
hands_out(book.CreditUsageDay, "credits/days.json", "What you used, day by day.", of="account_id")
hands_out(book.CreditAlert, "credits/alerts.json", "What you were warned of.")
hands_out(insight.CreditAchievement, "credits/achievements.json", "Badges you have earned.")
hands_out(gifts.CreditGift, "credits/gifts-made.json", "Gifts out of your wallet.", of="account_id")
hands_out(gifts.CreditGiftClaim, "credits/gifts-received.json", "Gifts you got.", of="user_id")
hands_out(
    corrections.CreditRefundRequest, "credits/refund-requests.json", "Refunds you asked for.", of="requested_by"
)
hands_out(pool_rows.CreditPoolRequest, "credits/pool-requests.json", "What you asked of pools.", of="user_id")
hands_out(pool_rows.CreditPool, "credits/settings.json", "Settings of your wallet.")
hands_out(topups.CreditAutoTopUp, "credits/auto-topup.json", "Your automatic top-up.")
hands_out(leads.Lead, "credits/leads.json", "What you tried before you registered.", of="user_id")
hands_out(usage_logs.AiUsageLog, "credits/work.json", "Work you ran: parameters and sizes.", of="user_id")
hands_out(catalogue.CreditPlan, "credits/plan.json", "The plan that fills your wallet.")
keeps_back(book.CreditCommand, "keys of requests, whose results are the lines")
keeps_back(book.CreditHoldLot, "told by holds and lots")
keeps_back(book.CreditCap, "of pools alone")
keeps_back(book.CreditCapUsage, "of pools alone")
keeps_back(gifts.CreditGiftCode, "secrets")
keeps_back(gifts.CreditGiftClawback, "told by the gifts")
