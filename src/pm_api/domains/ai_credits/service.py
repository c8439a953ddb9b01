"""Moving credits: spend and grant, through the group-commit writer; and what became of a key."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry
from pm_api.core.actor import AccountScope, AdminScope, CreditScope, LeadScope, WorkspaceScope
from pm_api.core.errors import ApiError
from pm_api.core.idempotency import required_key
from pm_api.core.platform import Platform
from pm_api.core.problem import problem_body
from pm_api.core.schema import ApiModel
from pm_api.domains.ai_credits import ledger, sql, store
from pm_api.domains.ai_credits.book import (
    MAX_AMOUNT,
    By,
    LotDraft,
    canonical_json,
    fingerprint,
)
from pm_api.domains.ai_credits.catalogue import Catalogue, Price
from pm_api.domains.ai_credits.commands import Grant, Spend
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.errors import (
    AccountNotFound,
    AmountTooLarge,
    ExpiryPassed,
)
from pm_api.domains.ai_credits.outcomes import capture_answer, entry_answer, grant_answer, hold_answer
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.schemas.ledger import (
    EntryAnswer,
    GrantAnswer,
    GrantRequest,
    SpendRequest,
    WorkRequest,
)
from pm_api.domains.ai_credits.store import Answer, Order
from pm_api.domains.ai_credits.writer import LedgerWriter
from pm_api.identity.repository import people as identity

DESCRIPTION: Final = "Spend"
"""Of what has neither text nor service."""
SPEND_OPERATION: Final = "spendCredits"
SPEND_BATCH_OPERATION: Final = "spendCreditsBatch"
GRANT_OPERATION: Final = "grantCredits"
PLACE_OPERATION: Final = "placeHold"
CAPTURE_OPERATION: Final = "captureHold"
RELEASE_OPERATION: Final = "releaseHold"
EXTEND_OPERATION: Final = "extendHold"
REFUND_OPERATION: Final = "refundCredits"
ADJUST_OPERATION: Final = "adjustCredits"
VOID_OPERATION: Final = "voidGrant"


@dataclass(frozen=True, slots=True)
class Told:
    """What an operation of the ledger answers when it went through. `keys_of` names the operation whose keys it uses,
    when they are not its own.
    """

    status: int
    answer: Callable[[Platform, Answer], ApiModel]
    keys_of: str | None = None


LEDGER_OPERATIONS: Final[dict[str, Told]] = {
    SPEND_OPERATION: Told(200, entry_answer),
    SPEND_BATCH_OPERATION: Told(200, entry_answer, keys_of=SPEND_OPERATION),
    GRANT_OPERATION: Told(200, grant_answer),
    PLACE_OPERATION: Told(201, hold_answer),
    CAPTURE_OPERATION: Told(200, capture_answer),
    RELEASE_OPERATION: Told(200, hold_answer),
    EXTEND_OPERATION: Told(200, hold_answer),
    REFUND_OPERATION: Told(200, entry_answer),
    ADJUST_OPERATION: Told(200, grant_answer),
    VOID_OPERATION: Told(200, entry_answer),
}
"""Every operation whose Idempotency-Key is a key of the ledger: `GET /api/idempotency/{key}` asks for it here."""


def ledger_key(header: str | None, field: str | None) -> str:
    """The one Idempotency-Key of a ledger route, from the header or the body; raises when there is none or two."""
    return required_key(header, field)


def client_key(actor_key: str, operation: str, key: str) -> str:
    """How a caller's key is stored: nobody can claim another's, nor one of the system's."""
    return f"c:{actor_key}:{operation}:{key}"


@dataclass(frozen=True, slots=True)
class Measure:
    """What a request comes to in credits, by the price rule in force."""

    amount: int
    quantity: int | None
    price_version: int | None
    description: str


async def measure(platform: Platform, request: WorkRequest, otherwise: str) -> Measure:
    """What this would cost; `otherwise` describes what has neither text nor service.

    Raises UnknownService, AmountTooLarge.
    """
    price = None if request.service is None else await platform.part(Catalogue).price_of(request.service)
    return measured_by(price, request, otherwise)


def measured_by(price: Price | None, request: WorkRequest, otherwise: str) -> Measure:
    """The same with the service's price at hand. Raises AmountTooLarge."""
    if price is None:
        return Measure(request.amount or 0, None, None, request.description or otherwise)
    quantity = quantity_of(request) or 1
    if price.cost * quantity > MAX_AMOUNT:
        raise AmountTooLarge
    text = request.description or f"{request.service} × {quantity}"
    return Measure(price.cost * quantity, quantity, price.version, text)


def asked(operation: str, request: WorkRequest, quantity: int | None, *more: object) -> bytes:
    """The fingerprint of what is asked: its price is not part of it, so that a retry after a price change is one."""
    return fingerprint(
        operation, request.amount, request.service, quantity, request.description, request.metadata, *more
    )


def kind_of(scope: CreditScope) -> AccountKind:
    if isinstance(scope, LeadScope):
        return AccountKind.LEAD
    return AccountKind.WORKSPACE if isinstance(scope, WorkspaceScope) else AccountKind.USER


def role_of(scope: CreditScope) -> str | None:
    """The caller's role in the pool's workspace, for its caps."""
    return scope.role if isinstance(scope, WorkspaceScope) else None


def quantity_of(request: WorkRequest) -> int | None:
    """Units of a service that are asked for."""
    return None if request.service is None else request.quantity or 1


def spend_command(scope: CreditScope, request: WorkRequest, key: str) -> tuple[UUID, str, bytes]:
    """(account, key, fingerprint) of a spend: what it is known by, whatever it costs."""
    return (
        repository.account_id_of(scope),
        client_key(scope.actor.key, SPEND_OPERATION, key),
        asked(SPEND_OPERATION, request, quantity_of(request)),
    )


def spend_order(scope: CreditScope, request: WorkRequest, key: str, measured: Measure, by: By) -> Order:
    """A spend to be submitted, under the caller's key."""
    account_id, stored_key, content = spend_command(scope, request, key)
    command = Spend(
        account_id=account_id,
        key=stored_key,
        fingerprint=content,
        by=by,
        amount=measured.amount,
        description=measured.description,
        details=canonical_json(request.metadata),
        service=request.service,
        quantity=measured.quantity,
        price_version=measured.price_version,
        role=role_of(scope),
    )
    return Order(kind_of(scope), command)


async def spend(platform: Platform, scope: CreditScope, request: SpendRequest, key: str) -> tuple[EntryAnswer, bool]:
    """Take credits exactly once under the key; (answer, replayed).

    Raises InsufficientCredits and SpendingCapReached (kept with the key), IdempotencyKeyReused, UnknownService,
    AmountTooLarge, LedgerBusy.
    """
    try:
        measured = await measure(platform, request, DESCRIPTION)
    except ApiError as refusal:
        answer = await first_answer(platform, refusal, *spend_command(scope, request, key))
    else:
        order = spend_order(scope, request, key, measured, ledger.by(scope.actor))
        answer = await platform.part(LedgerWriter).submit(order)
    return entry_answer(platform, answer), answer.replayed


async def grant(platform: Platform, scope: AdminScope, request: GrantRequest, key: str) -> tuple[GrantAnswer, bool]:
    """Bring credits by an operator's hand, exactly once under the key; (answer, replayed).

    Raises AccountNotFound, ExpiryPassed, IdempotencyKeyReused, BalanceLimitExceeded, LedgerBusy.
    """
    stored_key = client_key(scope.actor.key, GRANT_OPERATION, key)
    expires_at = request.expires_at
    content = fingerprint(GRANT_OPERATION, request.amount, request.reason, expires_at)
    try:
        if expires_at is not None and expires_at <= platform.clock.now():
            raise ExpiryPassed(details=[{"pointer": "/expiresAt", "detail": "Lies in the past"}])
        kind, account_id = await account_of(platform, request.user_id, request.workspace_id)
    except ApiError as refusal:
        answer = await first_answer(platform, refusal, request.user_id or request.workspace_id, stored_key, content)
        return grant_answer(platform, answer), answer.replayed
    command = Grant(
        account_id=account_id,
        key=stored_key,
        fingerprint=content,
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
    return grant_answer(platform, answer), answer.replayed


async def first_answer(
    platform: Platform, refusal: ApiError, account_id: UUID | None, key: str, content: bytes
) -> Answer:
    """What a command ended in that could not be asked for today any more, because time or the catalogue went on:
    a retry gets the first answer all the same. Raises the refusal when the key was never used.
    """
    if account_id is None:
        raise refusal
    async with platform.database.reading() as session:
        answer = await store.stored_answer(sql.SessionStatements(session), account_id, key, content)
    if answer is None:
        raise refusal
    return answer


async def stored_outcome(
    session: AsyncSession, platform: Platform, scope: AccountScope, *, operation: str, key: str
) -> tuple[int, bytes] | None:
    """(HTTP status, body) that a key was given on a ledger route, or None when it was never used there."""
    told = LEDGER_OPERATIONS[operation]
    stored_key = client_key(scope.actor.key, told.keys_of or operation, key)
    answer = await store.stored_answer(sql.SessionStatements(session), repository.account_id_of(scope), stored_key)
    if answer is None:
        return None
    try:
        return told.status, told.answer(platform, answer).model_dump_json(by_alias=True).encode()
    except ApiError as refusal:
        return refusal.status, problem_body(refusal, telemetry.request_id())


async def account_of(platform: Platform, user_id: UUID | None, workspace_id: UUID | None) -> tuple[AccountKind, UUID]:
    """The wallet or pool an operator names; raises AccountNotFound."""
    async with platform.database.reading() as session:
        user = await identity.user_by_id(session, user_id) if user_id is not None else None
        if user_id is not None and user is not None and user.erased_at is None:
            return AccountKind.USER, user_id
        workspace = await identity.workspace_by_id(session, workspace_id) if workspace_id is not None else None
        if workspace_id is not None and workspace is not None and workspace.deleted_at is None:
            return AccountKind.WORKSPACE, workspace_id
    raise AccountNotFound
