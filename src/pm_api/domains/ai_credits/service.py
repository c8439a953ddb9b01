"""Moving credits: spend and grant, through the group-commit writer."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry
from pm_api.core.actor import AccountScope, AdminScope, WorkspaceScope
from pm_api.core.errors import ApiError, IdempotencyKeyRequired
from pm_api.core.idempotency import InvalidIdempotencyKey, check_key
from pm_api.core.platform import Platform
from pm_api.core.problem import problem_body
from pm_api.domains.ai_credits import ledger, sql, store
from pm_api.domains.ai_credits.book import (
    MAX_AMOUNT,
    LotDraft,
    canonical_json,
    fingerprint,
)
from pm_api.domains.ai_credits.catalogue import Catalogue
from pm_api.domains.ai_credits.commands import Grant, Spend
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.errors import (
    AccountNotFound,
    AmountTooLarge,
    ExpiryPassed,
)
from pm_api.domains.ai_credits.outcomes import entry_answer
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.schemas.ledger import (
    EntryAnswer,
    GrantRequest,
    SpendRequest,
)
from pm_api.domains.ai_credits.store import Order
from pm_api.domains.ai_credits.writer import LedgerWriter
from pm_api.identity import repository as identity

SPEND_OPERATION: Final = "spendCredits"
GRANT_OPERATION: Final = "grantCredits"
LEDGER_OPERATIONS: Final = frozenset({SPEND_OPERATION, GRANT_OPERATION})


def ledger_key(header: str | None, field: str | None) -> str:
    """The one Idempotency-Key of a ledger route, from the header or the body; raises when there is none or two."""
    if header is not None and field is not None and header != field:
        raise InvalidIdempotencyKey("The Idempotency-Key header and idempotencyKey in the body differ.")
    key = header if header is not None else field
    if key is None:
        raise IdempotencyKeyRequired
    return check_key(key)


def client_key(actor_key: str, operation: str, key: str) -> str:
    """How a caller's key is stored: nobody can claim another's, nor one of the system's."""
    return f"c:{actor_key}:{operation}:{key}"


async def spend(platform: Platform, scope: AccountScope, request: SpendRequest, key: str) -> tuple[EntryAnswer, bool]:
    """Take credits exactly once under the key; (answer, replayed).

    Raises InsufficientCredits (kept with the key), IdempotencyKeyReused, UnknownService, AmountTooLarge, LedgerBusy.
    """
    amount, price_version = request.amount or 0, None
    quantity = (request.quantity or 1) if request.service else None
    if request.service is not None:
        price = await platform.part(Catalogue).price_of(request.service)
        amount, price_version = price.cost * (quantity or 1), price.version
    if amount > MAX_AMOUNT:
        raise AmountTooLarge
    command = Spend(
        account_id=repository.account_id_of(scope),
        key=client_key(scope.actor.key, SPEND_OPERATION, key),
        fingerprint=fingerprint(
            SPEND_OPERATION, request.amount, request.service, quantity, request.description, request.metadata
        ),
        by=ledger.by(scope.actor),
        amount=amount,
        description=request.description or (f"{request.service} × {quantity}" if request.service else "Spend"),
        details=canonical_json(request.metadata),
        service=request.service,
        quantity=quantity,
        price_version=price_version,
        role=scope.role if isinstance(scope, WorkspaceScope) else None,
    )
    kind = AccountKind.WORKSPACE if isinstance(scope, WorkspaceScope) else AccountKind.USER
    answer = await platform.part(LedgerWriter).submit(Order(kind, command))
    return entry_answer(platform, answer), answer.replayed


async def grant(platform: Platform, scope: AdminScope, request: GrantRequest, key: str) -> tuple[EntryAnswer, bool]:
    """Bring credits by an operator's hand, exactly once under the key; (answer, replayed).

    Raises AccountNotFound, IdempotencyKeyReused, BalanceLimitExceeded, LedgerBusy.
    """
    if request.expires_at is not None and request.expires_at <= platform.clock.now():
        raise ExpiryPassed(details=[{"pointer": "/expiresAt", "detail": "Lies in the past"}])
    kind, account_id = await _account_of(platform, request.user_id, request.workspace_id)
    stored_key = client_key(scope.actor.key, GRANT_OPERATION, key)
    expires_at = request.expires_at
    command = Grant(
        account_id=account_id,
        key=stored_key,
        fingerprint=fingerprint(GRANT_OPERATION, request.amount, request.reason, expires_at),
        by=ledger.by(scope.actor),
        lots=(
            LotDraft(
                kind=LotKind.ADMIN_ADJUSTMENT,
                amount=request.amount,
                source_type="admin",
                source_ref=stored_key,
                expires_at=expires_at,
            ),
        ),
        description=request.reason,
    )
    answer = await platform.part(LedgerWriter).submit(Order(kind, command))
    return entry_answer(platform, answer), answer.replayed


async def stored_outcome(
    session: AsyncSession, platform: Platform, scope: AccountScope, *, operation: str, key: str
) -> tuple[int, bytes] | None:
    """(HTTP status, body) that a key was given on a ledger route, or None when it was never used there."""
    account_id = repository.account_id_of(scope)
    answer = await store.stored_answer(
        sql.SessionStatements(session), account_id, client_key(scope.actor.key, operation, key)
    )
    if answer is None:
        return None
    try:
        return 200, entry_answer(platform, answer).model_dump_json(by_alias=True).encode()
    except ApiError as refusal:
        return refusal.status, problem_body(refusal, telemetry.request_id())


async def _account_of(
    platform: Platform, user_id: UUID | None, workspace_id: UUID | None
) -> tuple[AccountKind, UUID]:
    async with platform.database.reading() as session:
        if user_id is not None and await identity.user_by_id(session, user_id) is not None:
            return AccountKind.USER, user_id
        workspace = await identity.workspace_by_id(session, workspace_id) if workspace_id is not None else None
        if workspace_id is not None and workspace is not None and workspace.deleted_at is None:
            return AccountKind.WORKSPACE, workspace_id
    raise AccountNotFound
