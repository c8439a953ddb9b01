"""Charging for work: credits are held, the work runs, what it used is captured; no result, no charge.

    async with charge(platform, scope, Service.CHAT_ASSISTANT, operation="chat") as work:
        answer = await model.run(...)
        work.report(model="…", tokens_in=…, tokens_out=…)

Leaving the block captures; an exception, a cancelled request or a client that has gone releases. Both happen in a
task of their own, which a cancelled caller cannot cancel. A process that dies in between leaves a hold that expires
by itself. Every piece of work leaves a row in `ai_usage_logs`.
"""

import asyncio
import math
import time
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.errors import ApiError, Unavailable
from pm_api.core.idempotency import IdempotencyInProgress, IdempotencyKeyReused, check_key
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger
from pm_api.domains.ai_credits.book import MAX_AMOUNT, canonical_json, fingerprint
from pm_api.domains.ai_credits.catalogue import Catalogue, Price
from pm_api.domains.ai_credits.commands import Capture, Command, PlaceHold, Release
from pm_api.domains.ai_credits.enums import HoldStatus, Service
from pm_api.domains.ai_credits.errors import AlreadyCharged, AmountTooLarge
from pm_api.domains.ai_credits.holds import status_now
from pm_api.domains.ai_credits.models.usage_logs import AiUsageLog
from pm_api.domains.ai_credits.outcomes import balance_after, settled
from pm_api.domains.ai_credits.repository import holds as repository
from pm_api.domains.ai_credits.repository.ledger import account_id_of
from pm_api.domains.ai_credits.schemas.ledger import BalanceAfter
from pm_api.domains.ai_credits.service import client_key, kind_of, role_of
from pm_api.domains.ai_credits.store import Answer, Order
from pm_api.domains.ai_credits.writer import LedgerWriter

HOLD_TTL_S: Final = 900
MAX_ATTEMPTS: Final = 20
"""How often work that failed may be tried again under one Idempotency-Key."""
CAPTURE_RETRIES_S: Final = (0.05, 0.25, 1.0)
CANCELLED: Final = "cancelled"
FAILED: Final = "internal_error"
LOG_ID: Final = "usageLogId"
MAX_INTEGER: Final = 1 << 63

Outcome = TypeVar("Outcome")

_log = structlog.get_logger(__name__)
_settling: set["asyncio.Task[Any]"] = set()
"""Captures and releases under way: the event loop alone would not keep them."""


def costs(service: Service) -> dict[str, Any]:
    """`openapi_extra` of a route that charges: which service's price it costs (the first choice, where the body may
    name another). How many credits that is today is data: `GET /api/ai/credits`, `POST /api/credits/estimate`.
    """
    return {"x-credits": {"service": str(service)}}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a piece of work cost, and what is left."""

    credits: int
    balance: BalanceAfter
    hold_id: UUID
    entry_id: UUID | None
    log_id: UUID


class Charge(AbstractAsyncContextManager["Charge"]):
    """One piece of work that costs credits; made by `charge`."""

    def __init__(
        self,
        platform: Platform,
        scope: AccountScope,
        service: Service,
        *,
        operation: str,
        quantity: int,
        key: str | None,
        content: bytes,
        ttl_s: int,
    ) -> None:
        self.scope = scope
        self.service = service
        self.quantity = quantity
        self._platform = platform
        self._operation = operation
        self._key = check_key(key) if key is not None else None
        self._content = content
        self._ttl_s = ttl_s
        self._log_id = platform.randomness.uuid()
        self._began = time.perf_counter()
        self._price: Price | None = None
        self._hold_id: UUID | None = None
        self._units: int | None = None
        self._model: str | None = None
        self._tokens_in: int | None = None
        self._tokens_out: int | None = None
        self._request_data: dict[str, Any] = {}
        self._settlement: asyncio.Task[Receipt | None] | None = None

    @property
    def hold_id(self) -> UUID:
        assert self._hold_id is not None, "the credits are held when the block is entered"
        return self._hold_id

    @property
    def log_id(self) -> UUID:
        """Names this piece of work among all that were tried under its key."""
        return self._log_id

    @property
    def content(self) -> bytes:
        """What its key stands for."""
        return self._content

    @property
    def is_settling(self) -> bool:
        """Whether it is being paid for or given back, or was: too late to stop it."""
        return self._settlement is not None

    def report(
        self,
        *,
        model: str | None = None,
        tokens_in: int = 0,
        tokens_out: int = 0,
        units: int | None = None,
        **parameters: object,
    ) -> None:
        """What the work says of itself, in as many calls as it likes: tokens add up, the last model counts.

        `units` is how many of the held units were used in the end; the rest is given back. `parameters` go into the
        log's `request_data`; of a text only its length is kept, so that nothing people wrote can get there.
        """
        if tokens_in < 0 or tokens_out < 0 or not 0 <= (units or 0) <= self.quantity:
            raise ValueError("a charge cannot report less than nothing, nor more units than were held")
        self._model = model or self._model
        if tokens_in or tokens_out:
            self._tokens_in = (self._tokens_in or 0) + tokens_in
            self._tokens_out = (self._tokens_out or 0) + tokens_out
        self._units = self._units if units is None else units
        self._request_data |= {name: _measured(value) for name, value in parameters.items()}

    async def hold(self) -> None:
        """Set the credits aside; entering the block does it. Streams call it before their answer begins, so that a
        refusal is still a problem.

        Raises InsufficientCredits, SpendingCapReached, TooManyHolds, UnknownService, AmountTooLarge, LedgerBusy;
        under a key that was used before IdempotencyKeyReused, IdempotencyInProgress or AlreadyCharged.
        """
        if self._hold_id is not None:
            return
        self._price = await self._platform.part(Catalogue).price_of(self.service)
        placing = _apart(self._place(self._price))
        try:
            self._hold_id = await asyncio.shield(placing)
        except asyncio.CancelledError:
            _apart(self._release_when_placed(placing))
            raise

    async def _place(self, price: Price) -> UUID:
        """A new hold. Under a key whose work failed before, it is another try; whose work was paid for, a refusal."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            answer = await self._submit(self._order(price, attempt))
            placed = settled(self._platform, answer).hold
            assert placed is not None
            if not answer.replayed:
                return placed.id
            async with self._platform.database.reading() as session:
                earlier = await repository.hold(session, self.scope, placed.id)
            assert earlier is not None
            status = status_now(earlier, self._platform.clock.now())
            if earlier.details.get(LOG_ID) == str(self._log_id):
                return placed.id  # ours: the line broke between its COMMIT and the answer
            if earlier.captured:
                raise AlreadyCharged(holdId=str(earlier.id), creditsUsed=earlier.captured)
            if status is HoldStatus.OPEN:
                raise IdempotencyInProgress(headers={"Retry-After": "1"})
        raise IdempotencyKeyReused("The work of this key was tried too often. Use a new key.")

    def _order(self, price: Price, attempt: int) -> PlaceHold:
        if price.cost * self.quantity > MAX_AMOUNT:
            raise AmountTooLarge
        # Ends in a word that tells tries apart, so that no key of one try is the key of another intention.
        suffix = "hold" if attempt == 1 else f"hold:{attempt}"
        return PlaceHold(
            account_id=account_id_of(self.scope),
            key=client_key(self.scope.actor.key, self._operation, f"{self._key or self._log_id}:{suffix}"),
            fingerprint=fingerprint(self._operation, self.service, self.quantity, self._content.hex()),
            by=ledger.by(self.scope.actor),
            amount=price.cost * self.quantity,
            ttl_s=self._ttl_s,
            description=f"{self.service} × {self.quantity}" if self.quantity > 1 else str(self.service),
            details=canonical_json({"operation": self._operation, LOG_ID: self._log_id}),
            service=self.service,
            quantity=self.quantity,
            price_version=price.version,
            role=role_of(self.scope),
            guarded=True,
        )

    async def _release_when_placed(self, placing: "asyncio.Task[UUID]") -> None:
        """Whoever asked for the hold has gone while it was being placed."""
        self._hold_id = await placing
        await self._settle(CANCELLED)

    async def capture(self) -> Receipt:
        """Pay for what was used, now: for answers that show what is left. Leaving the block does no more then.

        Raises HoldExpired when the work took longer than the hold lived, and Unavailable when the ledger cannot be
        reached; the log is written all the same.
        """
        receipt = await self._resolve(None)
        assert receipt is not None, "this work has failed already"
        return receipt

    async def release(self, error_code: str) -> None:
        """Give everything back, because the work came to nothing."""
        await self._resolve(error_code)

    async def settle(self, error: ApiError | None) -> None:
        """Pay, or give back after an error, ahead of leaving the block: before an answer is kept under a key. Raises
        as `capture`.
        """
        if error is None:
            await self._resolve(None)
        elif self._hold_id is not None and not self.is_settling:
            try:
                await self.release(error.code)
            except Exception:
                _log.exception("charge_not_settled", hold_id=str(self._hold_id))

    async def close(self) -> None:
        """The last word, whatever happened before: gives back what nobody captured. Raises nothing."""
        try:
            await self._resolve(CANCELLED)
        except Exception:
            _log.exception("charge_not_settled", hold_id=str(self._hold_id))

    async def _resolve(self, error_code: str | None) -> Receipt | None:
        """Captures or releases, once; whoever is cancelled while waiting for it does not stop it."""
        if self._settlement is None:
            self._settlement = _apart(self._settle(error_code))
        return await asyncio.shield(self._settlement)

    async def _settle(self, error_code: str | None) -> Receipt | None:
        duration_ms = round((time.perf_counter() - self._began) * 1000)
        if error_code is not None:
            try:
                await self._give_back()
            finally:
                await self._write_log(None, duration_ms, success=False, error_code=error_code)
            return None
        try:
            receipt = await self._pay()
        except BaseException as error:
            await self._write_log(None, duration_ms, success=True, error_code=_code_of(error))
            raise
        await self._write_log(receipt, duration_ms, success=True, error_code=None)
        return receipt

    async def _pay(self) -> Receipt:
        assert self._price is not None
        used = self.quantity if self._units is None else self._units
        if used == 0:
            answer = await self._give_back()
            return Receipt(0, balance_after(settled(self._platform, answer)), self.hold_id, None, self._log_id)
        command = Capture(
            account_id=account_id_of(self.scope),
            # Nobody can claim a key of ours, and a hold is captured once: whatever is sent twice is one capture.
            key=f"s:charge:{self.hold_id}:capture",
            fingerprint=fingerprint("charge capture", self.hold_id, used),
            by=ledger.by(self.scope.actor),
            hold_id=self.hold_id,
            amount=self._price.cost * used,
            final=True,
        )
        applied = settled(self._platform, await self._submit_patiently(command))
        entry = applied.entries[0]
        return Receipt(-entry.amount, balance_after(applied), self.hold_id, entry.id, self._log_id)

    async def _give_back(self) -> Answer:
        command = Release(
            account_id=account_id_of(self.scope),
            key=f"s:charge:{self.hold_id}:release",
            fingerprint=fingerprint("charge release", self.hold_id),
            by=ledger.by(self.scope.actor),
            hold_id=self.hold_id,
        )
        return await self._submit_patiently(command)

    async def _submit(self, command: Command) -> Answer:
        return await self._platform.part(LedgerWriter).submit(Order(kind_of(self.scope), command))

    async def _submit_patiently(self, command: Command) -> Answer:
        """The work is done: a ledger that is busy for a moment must not undo it."""
        for pause_s in CAPTURE_RETRIES_S:
            try:
                return await self._submit(command)
            except Unavailable:
                await asyncio.sleep(pause_s)
        return await self._submit(command)

    async def _write_log(
        self, receipt: Receipt | None, duration_ms: int, *, success: bool, error_code: str | None
    ) -> None:
        scope = self.scope
        values = {
            "account_id": account_id_of(scope),
            "id": self._log_id,
            "user_id": scope.user_id,
            "workspace_id": scope.workspace_id if isinstance(scope, WorkspaceScope) else None,
            "service": str(self.service),
            "operation": self._operation,
            "model": self._model,
            "tokens_in": self._tokens_in,
            "tokens_out": self._tokens_out,
            "duration_ms": duration_ms,
            "success": success,
            "error_code": error_code,
            "credits": receipt.credits if receipt else 0,
            "hold_id": self._hold_id,
            "entry_id": receipt.entry_id if receipt else None,
            "request_data": {"quantity": self.quantity, **self._request_data},
            "created_at": self._platform.clock.now(),
        }
        try:
            async with self._platform.database.transaction() as session:
                repository.add_usage_log(session, AiUsageLog(**values))
        except Exception:
            # What was paid for is in the ledger; that the row is missing must not cost anybody their answer.
            _log.exception("usage_log_lost", **{name: str(value) for name, value in values.items()})

    async def __aenter__(self) -> "Charge":
        await self.hold()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._settlement is not None:
            if error is None:
                await asyncio.shield(self._settlement)
            return
        if error is None:
            await self.capture()
            return
        try:
            await self.release(_code_of(error))
        except Exception:
            # The hold expires by itself; what went wrong first is what the caller is to hear of.
            _log.exception("charge_not_settled", hold_id=str(self._hold_id))


def charge(
    platform: Platform,
    scope: AccountScope,
    service: Service,
    *,
    operation: str,
    quantity: int = 1,
    key: str | None = None,
    content: bytes = b"",
    ttl_s: int = HOLD_TTL_S,
) -> Charge:
    """Work that costs `quantity` times the price of a service, to be used with `async with`.

    `operation` is the route's operationId. With a `key` (the caller's Idempotency-Key) the work is charged once: a
    retry runs it again only when it failed and was not charged. `content` is what the key stands for. `ttl_s` is how
    long the work may take at most.
    """
    return Charge(
        platform,
        scope,
        service,
        operation=operation,
        quantity=quantity,
        key=key,
        content=content,
        ttl_s=ttl_s,
    )


def _apart(work: Coroutine[Any, Any, Outcome]) -> "asyncio.Task[Outcome]":
    """Run in a task of its own, which nobody's cancellation reaches."""
    task = asyncio.create_task(work)
    _settling.add(task)
    task.add_done_callback(_forget)
    return task


def _forget(task: "asyncio.Task[Any]") -> None:
    _settling.discard(task)
    if not task.cancelled():
        task.exception()  # looked at: whoever waited was told, and who has gone does not want to know


def _code_of(error: BaseException) -> str:
    if isinstance(error, ApiError):
        return error.code
    return CANCELLED if isinstance(error, asyncio.CancelledError | GeneratorExit) else FAILED


def _measured(value: object) -> Any:
    """A parameter as it may be kept: numbers, ids and words of ours as they are; of what people wrote its size."""
    if isinstance(value, StrEnum | UUID):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, int):
        return value if value is None or abs(value) < MAX_INTEGER else None
    if isinstance(value, str | bytes):
        return {"length": len(value)}
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return {"items": len(value)}
    return {"type": type(value).__name__}
