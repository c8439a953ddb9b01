"""Setting right: an operator's refunds, adjustments and voids through the writer; refunds that people ask for."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, AdminScope, WorkspaceScope
from pm_api.core.errors import ApiError
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger
from pm_api.domains.ai_credits.book import LotDraft, canonical_json, fingerprint
from pm_api.domains.ai_credits.commands import Command, Grant, Reverse, Void
from pm_api.domains.ai_credits.enums import AccountKind, EntryType, LotKind, RefundStatus
from pm_api.domains.ai_credits.errors import (
    EntryNotFound,
    EntryNotReversible,
    LeadConverted,
    LotNotFound,
    NotYourSpend,
    RefundAlreadyDecided,
    RefundAlreadyRequested,
    RefundRequestNotFound,
    RefundTooLate,
    ReversalExceedsEntry,
)
from pm_api.domains.ai_credits.models.corrections import CreditRefundRequest
from pm_api.domains.ai_credits.outcomes import balance_after, entry_answer, grant_answer, read_entry, settled
from pm_api.domains.ai_credits.repository import corrections as repository
from pm_api.domains.ai_credits.repository import leads
from pm_api.domains.ai_credits.repository.ledger import account_id_of, lock_accounts
from pm_api.domains.ai_credits.schemas.corrections import (
    AdjustCreditsRequest,
    ApprovedAnswer,
    ApproveRefundRequest,
    DeclinedAnswer,
    DeclineRefundRequest,
    RefundCreditsRequest,
    RefundQueue,
    RefundRequestCreate,
    RefundRequestDecided,
    RefundRequestRead,
    RefundRequests,
    VoidGrantRequest,
)
from pm_api.domains.ai_credits.schemas.ledger import EntryAnswer, GrantAnswer
from pm_api.domains.ai_credits.service import (
    ADJUST_OPERATION,
    REFUND_OPERATION,
    VOID_OPERATION,
    account_of,
    client_key,
    first_answer,
)
from pm_api.domains.ai_credits.store import Answer, Order
from pm_api.domains.ai_credits.writer import LedgerWriter
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.identity import audit
from pm_api.identity.permissions import allows

REFUND_WINDOW: Final = timedelta(days=90)
UNSAID: Final = "Refund"
"""The text of a refund for which no reason was given."""
LIST: Final = "credits.refund_requests"
QUEUE: Final = "credits.refund_queue"


# --- an operator's own hand --------------------------------------------------------------------------------------


async def refund(
    platform: Platform, scope: AdminScope, request: RefundCreditsRequest, key: str
) -> tuple[EntryAnswer, bool]:
    """Give back a spend, whole or in part, exactly once under the key; (answer, replayed).

    Raises EntryNotFound, EntryNotReversible (only a spend is refunded), ReversalExceedsEntry, LeadConverted,
    IdempotencyKeyReused.
    """
    async with platform.database.reading() as session:
        line = await repository.entry_anywhere(session, request.entry_id)
        if line is None:
            raise EntryNotFound
        place = await repository.place_of(session, line.account_id)
    if line.type != EntryType.USAGE:
        raise EntryNotReversible
    command = Reverse(
        account_id=place.account_id,
        key=client_key(scope.actor.key, REFUND_OPERATION, key),
        fingerprint=fingerprint(REFUND_OPERATION, request.entry_id, request.amount, request.reason),
        by=ledger.by(scope.actor),
        entry_seq=line.seq,
        description=request.reason or UNSAID,
        amount=request.amount,
    )
    if place.kind is AccountKind.LEAD:
        answer = await _refund_lead(platform, command)
        return entry_answer(platform, answer), answer.replayed
    return await _submit(platform, place.kind, command)


async def _refund_lead(platform: Platform, command: Reverse) -> Answer:
    """Decided under the account's lock, which a registration takes too: either what comes back is handed over with
    the rest, or whoever refunds is told where the rest went. Raises LeadConverted.
    """
    async with platform.database.transaction() as session:
        await lock_accounts(session, [command.account_id])
        user_id = await leads.converted_to(session, command.account_id)
        if user_id is None:
            return (await ledger.apply(session, platform, [Order(AccountKind.LEAD, command)]))[0]
    # It may be the retry of a refund that was given before they registered.
    refusal = LeadConverted(userId=str(user_id))
    return await first_answer(platform, refusal, command.account_id, command.key, command.fingerprint)


async def adjust(
    platform: Platform, scope: AdminScope, request: AdjustCreditsRequest, key: str
) -> tuple[GrantAnswer, bool]:
    """Bring or take credits, exactly once under the key; (answer, replayed). What comes never expires; what goes is
    taken in burn-down order.

    Raises AccountNotFound, InsufficientCredits, BalanceLimitExceeded, IdempotencyKeyReused.
    """
    stored_key = client_key(scope.actor.key, ADJUST_OPERATION, key)
    asked = fingerprint(ADJUST_OPERATION, request.amount, request.reason)
    try:
        kind, account_id = await account_of(platform, request.user_id, request.workspace_id)
    except ApiError as refusal:
        answer = await first_answer(platform, refusal, request.user_id or request.workspace_id, stored_key, asked)
        return grant_answer(platform, answer), answer.replayed
    by = ledger.by(scope.actor)
    command: Command
    if request.amount < 0:
        command = Void(account_id, stored_key, asked, by, description=request.reason, amount=-request.amount)
    else:
        lot = LotDraft(LotKind.ADMIN_ADJUSTMENT, request.amount, source_type="adjustment", source_ref=stored_key)
        command = Grant(account_id, stored_key, asked, by, lots=(lot,), description=request.reason)
    answer = await platform.part(LedgerWriter).submit(Order(kind, command))
    return grant_answer(platform, answer), answer.replayed


async def void_grant(
    platform: Platform, scope: AdminScope, lot_id: UUID, request: VoidGrantRequest, key: str
) -> tuple[EntryAnswer, bool]:
    """Take what is left of a lot out of circulation, exactly once under the key; (answer, replayed). Held credits
    stay with their hold.

    Raises LotNotFound, LotEmpty, IdempotencyKeyReused.
    """
    async with platform.database.reading() as session:
        account_id = await repository.lot_anywhere(session, lot_id)
        if account_id is None:
            raise LotNotFound
        place = await repository.place_of(session, account_id)
    command = Void(
        account_id=account_id,
        key=client_key(scope.actor.key, VOID_OPERATION, key),
        fingerprint=fingerprint(VOID_OPERATION, lot_id, request.reason),
        by=ledger.by(scope.actor),
        description=request.reason,
        lot_id=lot_id,
    )
    return await _submit(platform, place.kind, command)


async def _submit(platform: Platform, kind: AccountKind, command: Command) -> tuple[EntryAnswer, bool]:
    answer = await platform.part(LedgerWriter).submit(Order(kind, command))
    return entry_answer(platform, answer), answer.replayed


# --- what people ask for -----------------------------------------------------------------------------------------


async def request_refund(
    session: AsyncSession, platform: Platform, scope: AccountScope, wanted: RefundRequestCreate
) -> CreditRefundRequest:
    """Ask for a spend's credits. In a pool that may whoever spent, or who manages its credits.

    Raises EntryNotFound, EntryNotReversible, NotYourSpend, RefundTooLate (90 days), ReversalExceedsEntry,
    RefundAlreadyRequested.
    """
    now = platform.clock.now()
    line = await repository.entry(session, scope, wanted.entry_id)
    if line is None:
        raise EntryNotFound
    if line.type != EntryType.USAGE:
        raise EntryNotReversible("Only a spend can be refunded.")
    if line.actor_user_id != scope.user_id and not _manages(scope):
        raise NotYourSpend
    if line.created_at <= now - REFUND_WINDOW:
        raise RefundTooLate
    left = await repository.left_of(session, line)
    amount = left if wanted.amount is None else wanted.amount
    if amount > left or left == 0:
        raise ReversalExceedsEntry(left=left)
    made = await repository.insert_request(
        session,
        platform.randomness.uuid(),
        line,
        amount=amount,
        reason=wanted.reason,
        category=wanted.category,
        requested_by=scope.user_id,
        now=now,
    )
    if made is None:
        raise RefundAlreadyRequested
    return made


async def list_requests(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    page: PageRequest,
    status: RefundStatus | None,
) -> RefundRequests:
    """What was asked for, newest first: of a pool one's own, and everybody's for who manages its credits."""
    own = None if _manages(scope) else scope.user_id
    bound = {"account": account_id_of(scope), "own": own, "status": status}
    key = platform.cursors.decode(page.cursor, of=LIST, **bound)
    rows = await repository.requests(
        session,
        scope,
        requested_by=own,
        status=status,
        before_id=UUID(key[0]) if key else None,
        limit=page.limit + 1,
    )
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return RefundRequests(
        refund_requests=[RefundRequestRead.model_validate(row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LIST, **bound),
    )


async def one_request(session: AsyncSession, scope: AccountScope, request_id: UUID) -> CreditRefundRequest:
    """One of those that `list_requests` shows; raises RefundRequestNotFound."""
    found = await repository.request(session, scope, request_id)
    if found is None or (found.requested_by != scope.user_id and not _manages(scope)):
        raise RefundRequestNotFound
    return found


def _manages(scope: AccountScope) -> bool:
    """A wallet is its person's own."""
    return not isinstance(scope, WorkspaceScope) or allows(scope.role, "credits.manage")


# --- what operators decide ---------------------------------------------------------------------------------------


async def queue(
    session: AsyncSession, platform: Platform, page: PageRequest, status: RefundStatus | None
) -> RefundQueue:
    """Everybody's requests, oldest first."""
    key = platform.cursors.decode(page.cursor, of=QUEUE, status=status)
    rows = await repository.requests_anywhere(
        session, status=status, after_id=UUID(key[0]) if key else None, limit=page.limit + 1
    )
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return RefundQueue(
        refund_requests=[RefundRequestDecided.model_validate(row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=QUEUE, status=status),
    )


async def approve(
    session: AsyncSession, platform: Platform, scope: AdminScope, request_id: UUID, decision: ApproveRefundRequest
) -> ApprovedAnswer:
    """Give back what was asked for, or another amount, and say so: refund and decision commit together.

    Raises RefundRequestNotFound, RefundAlreadyDecided, ReversalExceedsEntry (with what is `left`).
    """
    asked = await _pending(session, request_id)
    place = await repository.place_of(session, asked.account_id)
    amount = decision.amount or asked.amount
    command = Reverse(
        account_id=asked.account_id,
        key=f"s:refund-request:{asked.id}",
        fingerprint=fingerprint("refund request", asked.id),
        by=ledger.by(scope.actor),
        entry_seq=asked.entry_seq,
        description=f"Refund: {asked.reason}",
        amount=amount,
        details=canonical_json({"refundRequest": str(asked.id), "category": asked.category}),
    )
    # The account is locked first: who decides the same request at this moment waits here, and is told below.
    [answer] = await ledger.apply(session, platform, [Order(place.kind, command)])
    result = settled(platform, answer)
    [entry, *_] = result.entries
    decided = await repository.decide(
        session,
        asked.id,
        status=RefundStatus.APPROVED,
        note=decision.note,
        decided_by=scope.actor.user_id,
        now=platform.clock.now(),
        refund=(entry.id, entry.amount),
    )
    if decided is None:
        raise RefundAlreadyDecided
    given = f"{entry.amount} credit{'s' if entry.amount != 1 else ''}"
    await _tell(session, platform, scope, place.kind, decided, f"Refund approved: {given} came back")
    return ApprovedAnswer(
        refund_request=RefundRequestDecided.model_validate(decided),
        entry=read_entry(entry),
        balance=balance_after(result),
    )


async def decline(
    session: AsyncSession, platform: Platform, scope: AdminScope, request_id: UUID, decision: DeclineRefundRequest
) -> DeclinedAnswer:
    """Turn a request down, with a word why. Raises RefundRequestNotFound, RefundAlreadyDecided."""
    asked = await _pending(session, request_id)
    decided = await repository.decide(
        session,
        asked.id,
        status=RefundStatus.DECLINED,
        note=decision.note,
        decided_by=scope.actor.user_id,
        now=platform.clock.now(),
    )
    if decided is None:
        raise RefundAlreadyDecided
    place = await repository.place_of(session, decided.account_id)
    await _tell(session, platform, scope, place.kind, decided, "Refund declined")
    return DeclinedAnswer(refund_request=RefundRequestDecided.model_validate(decided))


async def _pending(session: AsyncSession, request_id: UUID) -> CreditRefundRequest:
    found = await repository.request_anywhere(session, request_id)
    if found is None:
        raise RefundRequestNotFound
    if found.status != RefundStatus.PENDING:
        raise RefundAlreadyDecided
    return found


async def _tell(
    session: AsyncSession,
    platform: Platform,
    scope: AdminScope,
    kind: AccountKind,
    decided: CreditRefundRequest,
    title: str,
) -> None:
    """Who asked is told; and it stands in the audit log, with the workspace's when it is a pool."""
    workspace_id = decided.account_id if kind is AccountKind.WORKSPACE else None
    what = decided.status.lower()
    audit.record(
        session,
        platform,
        scope.actor,
        f"credits.refund_request_{what}",
        subject=("credit_refund_request", decided.id),
        workspace_id=workspace_id,
        amount=decided.refunded_amount,
        entry=str(decided.entry_id),
    )
    await notifications.notify(
        session,
        platform,
        user_ids=[decided.requested_by],
        category=Category.CREDITS,
        type=f"credits.refund_request_{what}",
        dedup_key=f"refund-request:{decided.id}",
        title=title,
        body=decided.note or f"You asked: {decided.reason}",
        reason="You asked for a refund.",
        data={"refundRequestId": str(decided.id), "entryId": str(decided.entry_id)},
        workspace_id=workspace_id,
        actor_user_id=scope.actor.user_id,
    )
