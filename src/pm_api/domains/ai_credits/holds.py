"""Holds: credits set aside for work under way; and reading them. In a pool a hold is the affair of who placed it, and
of those who manage its credits: a capture counts against the cap of the former.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import CreditScope
from pm_api.core.errors import ApiError
from pm_api.core.paging import Page, PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger, outcomes
from pm_api.domains.ai_credits.book import canonical_json, fingerprint
from pm_api.domains.ai_credits.commands import Capture, Command, Extend, PlaceHold, Release
from pm_api.domains.ai_credits.enums import HoldStatus, Service
from pm_api.domains.ai_credits.errors import HoldNotFound, NotYourHold
from pm_api.domains.ai_credits.models.ledger import CreditHold
from pm_api.domains.ai_credits.repository import holds as repository
from pm_api.domains.ai_credits.repository.ledger import account_id_of
from pm_api.domains.ai_credits.schemas.holds import (
    CaptureAnswer,
    CaptureRequest,
    ExtendRequest,
    HoldAnswer,
    HoldDetails,
    HoldRequest,
)
from pm_api.domains.ai_credits.service import (
    CAPTURE_OPERATION,
    EXTEND_OPERATION,
    PLACE_OPERATION,
    RELEASE_OPERATION,
    asked,
    client_key,
    first_answer,
    kind_of,
    measure,
    quantity_of,
    role_of,
)
from pm_api.domains.ai_credits.sight import confined_to
from pm_api.domains.ai_credits.store import Answer, Order
from pm_api.domains.ai_credits.writer import LedgerWriter


async def place(platform: Platform, scope: CreditScope, request: HoldRequest, key: str) -> tuple[HoldAnswer, bool]:
    """Set credits aside exactly once under the key; (answer, replayed).

    Raises InsufficientCredits, SpendingCapReached and TooManyHolds (kept with the key), IdempotencyKeyReused,
    UnknownService, AmountTooLarge, LedgerBusy.
    """
    account_id, stored_key = account_id_of(scope), client_key(scope.actor.key, PLACE_OPERATION, key)
    content = asked(PLACE_OPERATION, request, quantity_of(request), request.ttl_seconds)
    try:
        measured = await measure(platform, request, "Hold")
    except ApiError as refusal:
        answer = await first_answer(platform, refusal, account_id, stored_key, content)
        return outcomes.hold_answer(platform, answer), answer.replayed
    command = PlaceHold(
        account_id=account_id,
        key=stored_key,
        fingerprint=content,
        by=ledger.by(scope.actor),
        amount=measured.amount,
        ttl_s=request.ttl_seconds,
        description=measured.description,
        details=canonical_json(request.metadata),
        service=request.service,
        quantity=measured.quantity,
        price_version=measured.price_version,
        role=role_of(scope),
    )
    answer = await _submit(platform, scope, command)
    return outcomes.hold_answer(platform, answer), answer.replayed


async def capture(
    platform: Platform, scope: CreditScope, hold_id: UUID, request: CaptureRequest, key: str
) -> tuple[CaptureAnswer, bool]:
    """Spend what is left of a hold, or a part of it, exactly once under the key; (answer, replayed).

    Raises HoldAlreadyCaptured, HoldAlreadyReleased, HoldExpired and CaptureExceedsHold (kept with the key),
    NotYourHold, HoldNotFound, IdempotencyKeyReused, LedgerBusy.
    """
    await _check_whose(platform, scope, hold_id)
    command = Capture(
        account_id=account_id_of(scope),
        key=client_key(scope.actor.key, CAPTURE_OPERATION, key),
        fingerprint=fingerprint(
            CAPTURE_OPERATION, hold_id, request.amount, request.final, request.description, request.metadata
        ),
        by=ledger.by(scope.actor),
        hold_id=hold_id,
        amount=request.amount,
        final=request.final,
        description=request.description,
        details=None if request.metadata is None else canonical_json(request.metadata),
    )
    answer = await _submit(platform, scope, command)
    return outcomes.capture_answer(platform, answer), answer.replayed


async def release(platform: Platform, scope: CreditScope, hold_id: UUID, key: str) -> tuple[HoldAnswer, bool]:
    """Give back what is left of a hold, exactly once under the key; (answer, replayed). Raises as `capture`."""
    await _check_whose(platform, scope, hold_id)
    command = Release(
        account_id=account_id_of(scope),
        key=client_key(scope.actor.key, RELEASE_OPERATION, key),
        fingerprint=fingerprint(RELEASE_OPERATION, hold_id),
        by=ledger.by(scope.actor),
        hold_id=hold_id,
    )
    answer = await _submit(platform, scope, command)
    return outcomes.hold_answer(platform, answer), answer.replayed


async def extend(
    platform: Platform, scope: CreditScope, hold_id: UUID, request: ExtendRequest, key: str
) -> tuple[HoldAnswer, bool]:
    """Let a hold live longer, never shorter, exactly once under the key; (answer, replayed). Raises as `capture`."""
    await _check_whose(platform, scope, hold_id)
    command = Extend(
        account_id=account_id_of(scope),
        key=client_key(scope.actor.key, EXTEND_OPERATION, key),
        fingerprint=fingerprint(EXTEND_OPERATION, hold_id, request.ttl_seconds),
        by=ledger.by(scope.actor),
        hold_id=hold_id,
        ttl_s=request.ttl_seconds,
    )
    answer = await _submit(platform, scope, command)
    return outcomes.hold_answer(platform, answer), answer.replayed


async def _check_whose(platform: Platform, scope: CreditScope, hold_id: UUID) -> None:
    """Before the command, so that the refusal is not pinned to its key: a role may change. Raises HoldNotFound and
    NotYourHold.
    """
    own = confined_to(scope)
    if own is None:
        return
    async with platform.database.reading() as session:
        row = await repository.hold(session, scope, hold_id)
    if row is None:
        raise HoldNotFound
    if row.actor_user_id != own:
        raise NotYourHold


async def _submit(platform: Platform, scope: CreditScope, command: Command) -> Answer:
    return await platform.part(LedgerWriter).submit(Order(kind_of(scope), command))


async def read(session: AsyncSession, platform: Platform, scope: CreditScope, hold_id: UUID) -> HoldDetails:
    """A hold as it is now; raises HoldNotFound, also for one of a pool that the caller does not see."""
    row = await repository.hold(session, scope, hold_id)
    if row is None or confined_to(scope) not in (None, row.actor_user_id):
        raise HoldNotFound
    return details(row, platform.clock.now())


async def newest(
    session: AsyncSession,
    platform: Platform,
    scope: CreditScope,
    page: PageRequest,
    *,
    status: HoldStatus | None,
    before_id: UUID | None,
) -> Page[HoldDetails]:
    """A page of the holds of the account that the caller sees; its key is the last one's id."""
    now = platform.clock.now()
    rows: Sequence[CreditHold] = await repository.holds(
        session,
        scope,
        limit=page.limit + 1,
        before_id=before_id,
        status=status,
        now=now,
        placed_by=confined_to(scope),
    )
    shown = rows[: page.limit]
    return Page([details(row, now) for row in shown], (shown[-1].id,) if len(rows) > page.limit else None)


def status_now(row: CreditHold, now: datetime) -> HoldStatus:
    """A hold whose time has passed has expired, whether or not that has been written yet."""
    status = HoldStatus(row.status)
    return HoldStatus.EXPIRED if status is HoldStatus.OPEN and row.expires_at <= now else status


def details(row: CreditHold, now: datetime) -> HoldDetails:
    status = status_now(row, now)
    return HoldDetails(
        id=row.id,
        account_id=row.account_id,
        status=status,
        amount=row.amount,
        captured=row.captured,
        left=outcomes.left_of(status, row.amount, row.captured),
        service=Service(row.service) if row.service else None,
        description=row.description,
        expires_at=row.expires_at,
        created_at=row.created_at,
        version=outcomes.hold_version(status, row.captured, row.created_at, row.expires_at),
        quantity=row.quantity,
        price_version=row.price_version,
        metadata=row.details,
        actor_user_id=row.actor_user_id,
    )
