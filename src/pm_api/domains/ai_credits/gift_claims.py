"""How gifts end: redeemed by whoever has a code, taken back by the giver, returned when their time is over.

The gift's row decides between a claim and a return, after the accounts were locked. By the clock a gift whose time
has passed can no longer be claimed, whether or not it has gone back yet.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, Actor, UserScope, WorkspaceScope
from pm_api.core.errors import ApiError, NotFound
from pm_api.core.http import check_version
from pm_api.core.idempotency import InvalidIdempotencyKey, check_key
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import errors, gift_codes, ledger, outcomes
from pm_api.domains.ai_credits.book import Applied, By, LotDraft, canonical_json, fingerprint
from pm_api.domains.ai_credits.commands import Grant, Reverse
from pm_api.domains.ai_credits.enums import AccountKind, GiftDirection, GiftKind, GiftStatus, LotKind
from pm_api.domains.ai_credits.models.gifts import CreditGift, CreditGiftClaim, CreditGiftCode
from pm_api.domains.ai_credits.pools import lock_managed
from pm_api.domains.ai_credits.repository import gifts as repository
from pm_api.domains.ai_credits.repository.gifts import DueGift
from pm_api.domains.ai_credits.repository.ledger import account_id_of, lock_accounts
from pm_api.domains.ai_credits.schemas.gifts import GiftRead, GiftRedeemed
from pm_api.domains.ai_credits.store import Answer, Order
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.identity.repository import people as identity

LOT_LIFETIME: Final = relativedelta(months=12)
TOLD_EACH: Final = 20
"""The giver is told of each claim of a gift for so many; of a larger one, of the last alone."""
LINK: Final = "/credits/gifts"


# --- what a claim is ---------------------------------------------------------------------------------------------


def new_claim(platform: Platform, given: CreditGift, number: int, user_id: UUID, key: str | None) -> CreditGiftClaim:
    """A person's claim of a code, or of number 0, the gift made straight to them."""
    return CreditGiftClaim(
        account_id=given.account_id,
        gift_id=given.id,
        number=number,
        user_id=user_id,
        id=platform.randomness.uuid(),
        source_ref=f"{given.id}:{number}",
        client_key=key,
        claimed_at=platform.clock.now(),
    )


async def grant(
    session: AsyncSession, platform: Platform, actor: Actor, given: CreditGift, claim: CreditGiftClaim
) -> Answer:
    """The lot of who gets it. The key derives from gift and code, so it comes once however often this runs."""
    command = Grant(
        account_id=claim.user_id,
        key=f"s:gift:{claim.source_ref}",
        fingerprint=fingerprint("gift", claim.source_ref),
        by=ledger.by(actor),
        lots=(
            LotDraft(
                kind=LotKind.GIFT,
                amount=given.amount,
                source_type=repository.GIFT_SOURCE,
                source_ref=claim.source_ref,
                expires_at=platform.clock.now() + LOT_LIFETIME,
            ),
        ),
        description="Gift",
        details=canonical_json({"giftId": given.id}),
    )
    [answer] = await ledger.apply(session, platform, [Order(AccountKind.USER, command)])
    return answer


def require(platform: Platform, answer: Answer) -> Applied:
    """What a command of the system's own did; its refusal is the caller's, and nothing of it is kept."""
    return outcomes.settled(platform, answer)


def is_over(given: CreditGift, now: datetime) -> bool:
    return given.expires_at is not None and given.expires_at <= now


def read(given: CreditGift, from_name: str, *, now: datetime, claim: CreditGiftClaim | None = None) -> GiftRead:
    """A gift as its giver sees it; with `claim`, as who claimed it does."""
    status = GiftStatus(given.status)
    if claim is not None:
        status = GiftStatus.CLAIMED
    elif status is GiftStatus.OPEN and is_over(given, now):
        status = GiftStatus.EXPIRED
    return GiftRead(
        id=given.id,
        direction=GiftDirection.SENT if claim is None else GiftDirection.RECEIVED,
        kind=GiftKind(given.kind),
        status=status,
        amount=given.amount,
        account_id=given.account_id if claim is None else None,
        max_claims=given.max_claims if claim is None else None,
        claims=given.claims if claim is None else None,
        returned=given.returned if claim is None else None,
        message=given.message,
        recipient_user_id=given.recipient_user_id,
        from_user_id=given.created_by_user_id,
        from_name=from_name,
        expires_at=given.expires_at,
        created_at=given.created_at,
        claimed_at=claim.claimed_at if claim is not None else None,
        version=given.version if claim is None else 1,
    )


# --- redeeming ---------------------------------------------------------------------------------------------------


def claim_key(header: str | None, field: str | None) -> str | None:
    """The Idempotency-Key of a redemption, which may do without: a code is claimed once anyway."""
    if header is not None and field is not None and header != field:
        raise InvalidIdempotencyKey("The Idempotency-Key header and idempotencyKey in the body differ.")
    key = header if header is not None else field
    return None if key is None else check_key(key)


async def redeem(
    session: AsyncSession, platform: Platform, scope: UserScope, text: str, key: str | None
) -> GiftRedeemed:
    """The credits of a code for the caller's own wallet, once a code and person; a retry under its key gets the same.

    Raises GiftCodeNotFound, GiftToSelf, GiftAlreadyClaimed, GiftCodeSpent, GiftCodeExpired, BalanceLimitExceeded,
    TooManyLots.
    """
    digests = gift_codes.digests(platform.keys, text)
    code = await repository.code_by_digest(session, digests) if digests else None
    if code is None:
        raise errors.GiftCodeNotFound
    given = await repository.gift(session, code.account_id, code.gift_id)
    assert given is not None, "a code has its gift"
    if scope.user_id in (given.account_id, given.created_by_user_id):
        raise errors.GiftToSelf
    await lock_accounts(session, [scope.user_id])
    claim = await repository.claim(session, code, scope.user_id)
    if claim is None:
        claim = await _claim_now(session, platform, scope, given, code, key)
    elif key is None or claim.client_key != key:
        raise errors.GiftAlreadyClaimed
    result = require(platform, await grant(session, platform, scope.actor, given, claim))
    lot = await repository.received_lot(session, scope.user_id, claim.source_ref)
    assert lot.expires_at is not None
    giver = await identity.user_by_id(session, given.created_by_user_id)
    assert giver is not None
    return GiftRedeemed(
        gift=read(given, giver.name, now=claim.claimed_at, claim=claim),
        credits_expire_at=lot.expires_at,
        balance=outcomes.balance_after(result),
    )


async def _claim_now(
    session: AsyncSession,
    platform: Platform,
    scope: UserScope,
    given: CreditGift,
    code: CreditGiftCode,
    key: str | None,
) -> CreditGiftClaim:
    now = platform.clock.now()
    if not await repository.count_claim(session, code, now):
        raise await _why_not(session, given, now)
    claim = new_claim(platform, given, code.number, scope.user_id, key)
    session.add(claim)
    await session.flush()
    current = await repository.gift(session, given.account_id, given.id)
    assert current is not None
    if current.max_claims <= TOLD_EACH or current.claims == current.max_claims:
        await tell_giver(
            session,
            platform,
            current,
            type="credits.gift_claimed",
            dedup_key=f"gift:{given.id}:claim:{current.claims}",
            title=f"Your gift of {current.amount} credits was claimed",
            body=f"Claimed {current.claims} of {current.max_claims} times.",
        )
    return claim


async def _why_not(session: AsyncSession, given: CreditGift, now: datetime) -> ApiError:
    """Asked after the row's lock was waited for: who was faster has decided."""
    current = await repository.gift(session, given.account_id, given.id)
    assert current is not None
    if current.status in (GiftStatus.CANCELLED, GiftStatus.EXPIRED, GiftStatus.WITHDRAWN):
        return errors.GiftCodeExpired()
    if current.status == GiftStatus.OPEN and is_over(current, now):
        return errors.GiftCodeExpired()
    return errors.GiftCodeSpent()


async def tell_giver(
    session: AsyncSession, platform: Platform, given: CreditGift, *, type: str, dedup_key: str, title: str, body: str
) -> None:
    await notifications.notify(
        session,
        platform,
        user_ids=[given.created_by_user_id],
        category=Category.CREDITS,
        type=type,
        dedup_key=dedup_key,
        title=title,
        body=body,
        reason="You made this gift.",
        data={"giftId": str(given.id), "amount": given.amount},
        link=LINK,
        workspace_id=pool_of(given),
    )


def pool_of(given: CreditGift) -> UUID | None:
    """The workspace whose pool gave; None for a gift out of somebody's own wallet, which has their id."""
    return None if given.account_id == given.created_by_user_id else given.account_id


# --- going back --------------------------------------------------------------------------------------------------


async def cancel(
    session: AsyncSession, platform: Platform, scope: AccountScope, gift_id: UUID, expected_version: int | None
) -> CreditGift:
    """Take back what nobody has claimed, at once. Raises NotFound, PreconditionFailed or GiftClosed; and, for a pool
    whose credits the caller no longer manages when it is their turn, WorkspaceNotFound or Forbidden.
    """
    if isinstance(scope, WorkspaceScope):
        await lock_managed(session, scope)
    await lock_accounts(session, [account_id_of(scope)])
    given = await repository.lock_gift(session, account_id_of(scope), gift_id)
    if given is None:
        raise NotFound
    check_version(given.version, expected_version)
    if given.status != GiftStatus.OPEN:
        raise errors.GiftClosed
    over = is_over(given, platform.clock.now())
    ended_as = GiftStatus.EXPIRED if over else GiftStatus.CANCELLED
    await close(session, platform, given, ended_as, by=ledger.by(scope.actor))
    return given


async def close(
    session: AsyncSession, platform: Platform, given: CreditGift, ended_as: GiftStatus, *, by: By
) -> None:
    """Return the unclaimed rest of an open gift to the lots it came from. The giver's account and the gift's row are
    locked.
    """
    left = (given.max_claims - given.claims) * given.amount
    given.status, given.returned = ended_as, left
    given.version += 1
    given.updated_at = platform.clock.now()
    command = Reverse(
        account_id=given.account_id,
        key=f"s:gift-return:{given.id}",
        fingerprint=fingerprint("gift return", given.id),
        by=by,
        entry_seq=given.entry_seq,
        amount=left,
        description="Gift returned",
        details=canonical_json({"giftId": given.id}),
    )
    # The account is there: its kind only matters where one has to be opened.
    require(platform, (await ledger.apply(session, platform, [Order(AccountKind.USER, command)]))[0])


async def return_due(session: AsyncSession, platform: Platform, due: Sequence[DueGift]) -> None:
    """Send back what nobody claimed in time."""
    await lock_accounts(session, {one.account_id for one in due})
    for one in due:
        await _return(session, platform, one)


async def _return(session: AsyncSession, platform: Platform, due: DueGift) -> None:
    given = await repository.lock_gift(session, due.account_id, due.gift_id)
    if given is None or given.status != GiftStatus.OPEN or not is_over(given, platform.clock.now()):
        return
    await close(session, platform, given, GiftStatus.EXPIRED, by=ledger.by_system())
    await tell_giver(
        session,
        platform,
        given,
        type="credits.gift_returned",
        dedup_key=f"gift:{given.id}:returned",
        title=f"{given.returned} credits came back",
        body="Nobody claimed them in time.",
    )
