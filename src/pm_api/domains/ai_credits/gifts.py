"""Gifts: credits that leave an account for others, straight to a person or through codes.

What leaves is one line of the giver's book. Each who gets it has a lot of 12 months; what nobody claims goes back to
the very lots it came from. Locks: accounts in id order, then the gift's row, which decides between a claim and a
return.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry
from pm_api.core.actor import AccountScope, Actor, UserScope, WorkspaceScope
from pm_api.core.errors import ApiError, NotFound
from pm_api.core.http import entity_tag
from pm_api.core.idempotency import IdempotencyKeyReused
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.core.problem import problem_body
from pm_api.core.ratelimit import Policy
from pm_api.domains.ai_credits import errors, gift_codes, ledger, outcomes, sql, store
from pm_api.domains.ai_credits.book import (
    MAX_AMOUNT,
    Applied,
    Refusal,
    Refused,
    canonical_json,
    fingerprint,
)
from pm_api.domains.ai_credits.commands import Transfer
from pm_api.domains.ai_credits.enums import AccountKind, GiftDirection, GiftKind, GiftStatus
from pm_api.domains.ai_credits.gift_claims import LINK, grant, new_claim, read, require
from pm_api.domains.ai_credits.models.gifts import CreditGift
from pm_api.domains.ai_credits.pools import lock_managed
from pm_api.domains.ai_credits.repository import gifts as repository
from pm_api.domains.ai_credits.repository.ledger import account_id_of, lock_accounts
from pm_api.domains.ai_credits.schemas.gifts import (
    GiftAnswer,
    GiftCodeRead,
    GiftCodesRequest,
    GiftRead,
    GiftRequest,
    GiftsAnswer,
    GiftSent,
    IssuedCode,
)
from pm_api.domains.ai_credits.service import client_key
from pm_api.domains.ai_credits.store import Answer, KeyReused, Order
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.identity.repository import people as identity

SEND: Final = "sendGift"
SEND_CODES: Final = "createGiftCodes"
OPERATIONS: Final = frozenset({SEND, SEND_CODES})
"""Routes whose Idempotency-Key is the ledger's own command."""

CODE_LIFETIME: Final = timedelta(days=90)
LONGEST_CODE_LIFETIME: Final = relativedelta(months=12)

RECIPIENT_GUESSES: Final = Policy("gift-recipient", "20/hour")
"""Sendings that came to nothing, for a caller and a network address: who has an account is not to be tried out."""

SENDINGS: Final = Policy("gift-sending", "60/minute")
"""All sendings of a caller to people: what is asked for many times at once is not yet known to come to nothing."""

GIFTS: Final = "credits.gifts"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A gift as it was asked for. `codes` codes, each for `claims_each` people; none for a gift to a user."""

    key: str
    content: bytes
    kind: GiftKind
    amount: int
    message: str
    codes: int = 0
    claims_each: int = 1
    expires_at: datetime | None = None
    recipient_email: str | None = None
    recipient_id: UUID | None = None

    @property
    def max_claims(self) -> int:
        return max(1, self.codes) * self.claims_each


# --- giving ----------------------------------------------------------------------------------------------------


async def send(
    platform: Platform, scope: AccountScope, request: GiftRequest, key: str, address: str
) -> tuple[GiftSent, bool]:
    """Give to a user at once, or make a code, exactly once under the key; (answer, replayed).

    Raises InsufficientCredits (kept with the key), IdempotencyKeyReused, RecipientNotFound, GiftToSelf,
    AmountTooLarge, InvalidGiftExpiry, BalanceLimitExceeded, RecipientFull.
    """
    terms = request.code
    wanted = _Wanted(
        key=client_key(scope.actor.key, SEND, key),
        content=fingerprint(
            SEND,
            request.recipient_email,
            request.recipient_user_id,
            (terms.max_claims, terms.expires_at) if terms else None,
            request.amount,
            request.message,
        ),
        kind=GiftKind.CODE if terms else GiftKind.USER,
        amount=request.amount,
        message=request.message,
        codes=1 if terms else 0,
        claims_each=terms.max_claims if terms else 1,
        expires_at=terms.expires_at if terms else None,
        recipient_email=request.recipient_email,
        recipient_id=request.recipient_user_id,
    )
    if terms is not None:
        return await _give(platform, scope, wanted)
    # Whatever it is refused for: a recipient that is none told from a price too high would tell who is here.
    asking = (scope.actor.person, f"address:{address}")
    await platform.limiter.hit(SENDINGS, scope.actor.person)
    for identity_asked in asking:
        await platform.limiter.test(RECIPIENT_GUESSES, identity_asked)
    try:
        return await _give(platform, scope, wanted)
    except ApiError:
        for identity_asked in asking:
            await platform.limiter.hit(RECIPIENT_GUESSES, identity_asked)
        raise


async def send_codes(
    platform: Platform, scope: AccountScope, request: GiftCodesRequest, key: str
) -> tuple[GiftSent, bool]:
    """Make many single-use codes, paid in one go, exactly once under the key; (answer, replayed).

    Raises as `send` does for a code.
    """
    wanted = _Wanted(
        key=client_key(scope.actor.key, SEND_CODES, key),
        content=fingerprint(SEND_CODES, request.count, request.amount, request.expires_at, request.message),
        kind=GiftKind.CODES,
        amount=request.amount,
        message=request.message,
        codes=request.count,
        expires_at=request.expires_at,
    )
    return await _give(platform, scope, wanted)


async def _give(platform: Platform, scope: AccountScope, wanted: _Wanted) -> tuple[GiftSent, bool]:
    """The transaction of its own: a refusal of the ledger is committed with its key before it is raised."""
    if wanted.amount * wanted.max_claims > MAX_AMOUNT:
        raise errors.AmountTooLarge
    async with platform.database.transaction() as session:
        answer, told = await _give_in(session, platform, scope, wanted)
    if told is None:
        raise _refusal(platform, answer)
    return told, answer.replayed


async def _give_in(
    session: AsyncSession, platform: Platform, scope: AccountScope, wanted: _Wanted
) -> tuple[Answer, GiftSent | None]:
    if isinstance(scope, WorkspaceScope):
        await lock_managed(session, scope)
    account_id = account_id_of(scope)
    known = await repository.gift_by_key(session, account_id, wanted.key)
    recipient_id = known.recipient_user_id if known else await _recipient(session, scope, wanted)
    expires_at = None if known else _code_expiry(platform, wanted)
    gift_id = platform.randomness.uuid()
    await lock_accounts(session, {account_id, recipient_id or account_id})
    transfer = Transfer(
        account_id=account_id,
        key=wanted.key,
        fingerprint=wanted.content,
        by=ledger.by(scope.actor),
        amount=wanted.amount * wanted.max_claims,
        description="Gift" if wanted.kind is GiftKind.USER else "Gift codes",
        details=canonical_json({"giftId": gift_id}),
    )
    kind = AccountKind.WORKSPACE if isinstance(scope, WorkspaceScope) else AccountKind.USER
    [answer] = await ledger.apply(session, platform, [Order(kind, transfer)])
    if not isinstance(answer.result, Applied):
        return answer, None
    if answer.replayed:
        return answer, await _told(session, platform, account_id, wanted.key, answer.result)
    now = platform.clock.now()
    given = CreditGift(
        account_id=account_id,
        id=gift_id,
        command_key=wanted.key,
        entry_seq=answer.result.entries[0].seq,
        kind=wanted.kind,
        status=GiftStatus.OPEN,
        amount=wanted.amount,
        max_claims=wanted.max_claims,
        claims=0,
        message=wanted.message,
        recipient_user_id=recipient_id,
        created_by_user_id=scope.user_id,
        sealed_seed=gift_codes.new_seed(platform.keys, platform.randomness, gift_id) if wanted.codes else None,
        expires_at=expires_at,
        created_at=now,
        updated_at=now,
    )
    session.add(given)
    if recipient_id is not None:
        await _hand_over(session, platform, scope.actor, given, recipient_id)
    else:
        digests = [gift_codes.digest(platform.keys, one.code) for one in _issued(platform, given)]
        await repository.insert_codes(session, given, digests, max_claims=wanted.claims_each)
    return answer, await _told(session, platform, account_id, wanted.key, answer.result)


async def _recipient(session: AsyncSession, scope: AccountScope, wanted: _Wanted) -> UUID | None:
    """Raises RecipientNotFound or GiftToSelf; None for codes."""
    if wanted.recipient_email is not None:
        user = await identity.user_by_email(session, wanted.recipient_email)
    elif wanted.recipient_id is not None:
        user = await identity.user_by_id(session, wanted.recipient_id)
    else:
        return None
    if user is None or user.erased_at is not None:
        raise errors.RecipientNotFound
    if user.id == scope.user_id:
        raise errors.GiftToSelf
    return user.id


def _code_expiry(platform: Platform, wanted: _Wanted) -> datetime | None:
    """Raises InvalidGiftExpiry."""
    if not wanted.codes:
        return None
    now = platform.clock.now()
    expires_at = wanted.expires_at or now + CODE_LIFETIME
    if not now < expires_at <= now + LONGEST_CODE_LIFETIME:
        raise errors.InvalidGiftExpiry
    return expires_at


async def _hand_over(
    session: AsyncSession, platform: Platform, giver: Actor, given: CreditGift, recipient_id: UUID
) -> None:
    """Straight to a person: claimed as it is made. Raises BalanceLimitExceeded or RecipientFull, and the caller rolls
    back.
    """
    given.status, given.claims = GiftStatus.CLAIMED, 1
    await session.flush()
    claim = new_claim(platform, given, 0, recipient_id, None)
    session.add(claim)
    try:
        require(platform, await grant(session, platform, giver, given, claim))
    except errors.TooManyLots as refusal:
        raise errors.RecipientFull from refusal
    user = await identity.user_by_id(session, given.created_by_user_id)
    assert user is not None, "a guard has found them"
    await notifications.notify(
        session,
        platform,
        user_ids=[recipient_id],
        category=Category.CREDITS,
        type="credits.gift_received",
        dedup_key=f"gift:{given.id}",
        title=f"{user.name} gave you {given.amount} credits",
        body=given.message,
        reason="Somebody gave you credits.",
        data={"giftId": str(given.id), "amount": given.amount},
        link=LINK,
        actor_user_id=user.id,
    )


def _issued(platform: Platform, given: CreditGift) -> list[IssuedCode]:
    if given.sealed_seed is None:
        return []
    count = given.max_claims if given.kind == GiftKind.CODES else 1
    codes = gift_codes.issue(platform.keys, given.sealed_seed, given.id, count)
    return [IssuedCode(number=number, code=code) for number, code in enumerate(codes, start=1)]


async def _told(session: AsyncSession, platform: Platform, account_id: UUID, key: str, result: Applied) -> GiftSent:
    """The answer to who gave, as it was when the gift was made: a retry gets the same."""
    given = await repository.gift_by_key(session, account_id, key)
    assert given is not None, "gift and command are written together"
    user = await identity.user_by_id(session, given.created_by_user_id)
    assert user is not None
    at_once = given.kind == GiftKind.USER
    first = read(given, user.name, now=given.created_at).model_copy(
        update={
            "status": GiftStatus.CLAIMED if at_once else GiftStatus.OPEN,
            "claims": 1 if at_once else 0,
            "returned": 0,
            "version": 1,
        }
    )
    return GiftSent(gift=first, codes=_issued(platform, given), balance=outcomes.balance_after(result))


def _refusal(platform: Platform, answer: Answer) -> ApiError:
    if isinstance(answer.result, KeyReused):
        return IdempotencyKeyReused()
    assert isinstance(answer.result, Refused)
    headers = {"Idempotent-Replayed": "true"} if answer.replayed else {}
    if answer.result.reason is not Refusal.INSUFFICIENT_CREDITS:
        return outcomes.refusal(platform, answer.result, headers)
    facts = answer.result.facts
    return errors.InsufficientCredits(
        f"This gift takes {facts['needed']} credits that may be given away; you have {facts['available']}. Bought,"
        " bonus and granted credits without an expiry may be.",
        headers=headers,
        instance=answer.result.request_id,
        **facts,
        buyUrl=f"{platform.settings.site_url.rstrip('/')}/credits",
    )


async def stored_outcome(
    session: AsyncSession, platform: Platform, scope: AccountScope, *, operation: str, key: str
) -> tuple[int, bytes] | None:
    """(HTTP status, body) that a key was given on a route of `OPERATIONS`, or None when it was never used there."""
    account_id, stored_key = account_id_of(scope), client_key(scope.actor.key, operation, key)
    answer = await store.stored_answer(sql.SessionStatements(session), account_id, stored_key)
    if answer is None:
        return None
    if not isinstance(answer.result, Applied):
        refusal = _refusal(platform, answer)
        return refusal.status, problem_body(refusal, telemetry.request_id())
    told = await _told(session, platform, account_id, stored_key, answer.result)
    return 201, told.model_dump_json(by_alias=True).encode()


# --- reading ---------------------------------------------------------------------------------------------------


async def one(
    session: AsyncSession, platform: Platform, scope: AccountScope, gift_id: UUID
) -> tuple[GiftAnswer, dict[str, str]]:
    """A gift of this account with how its codes stand, and the headers that go with it. Raises NotFound."""
    given = await repository.gift(session, account_id_of(scope), gift_id)
    if given is None:
        raise NotFound
    maker = await identity.user_by_id(session, given.created_by_user_id)
    assert maker is not None
    shown = read(given, maker.name, now=platform.clock.now())
    codes = [GiftCodeRead.model_validate(code) for code in await repository.codes(session, given)]
    # Between the end of its time and its return it reads as expired under the version it had before: no tag then.
    headers = {"ETag": entity_tag(given.version)} if shown.status == given.status else {}
    return GiftAnswer(gift=shown, codes=codes), headers


async def listed(
    session: AsyncSession, platform: Platform, scope: AccountScope, direction: GiftDirection, page: PageRequest
) -> GiftsAnswer:
    """A page of what an account gave, or of what its user received, newest first; a pool receives nothing.

    Raises InvalidCursor.
    """
    account_id = account_id_of(scope)
    bound = {"account": account_id, "direction": direction}
    key = platform.cursors.decode(page.cursor, of=GIFTS, **bound)
    before = UUID(key[0]) if key else None
    now = platform.clock.now()
    found: list[tuple[UUID, GiftRead]] = []
    if direction is GiftDirection.SENT:
        rows = await repository.sent(session, account_id, limit=page.limit + 1, before=before)
        found = [(given.id, read(given, name, now=now)) for given, name in rows]
    elif isinstance(scope, UserScope):
        reached = await repository.received(session, scope.user_id, limit=page.limit + 1, before=before)
        found = [(got.claim.id, read(got.gift, got.from_name, now=now, claim=got.claim)) for got in reached]
    shown = found[: page.limit]
    following = (shown[-1][0],) if len(found) > page.limit else None
    return GiftsAnswer(
        gifts=[gift for _, gift in shown],
        next_cursor=platform.cursors.encode(following, of=GIFTS, **bound),
    )
