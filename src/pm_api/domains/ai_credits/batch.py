"""Many spends in one request, each of which stands alone."""

from functools import lru_cache
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from pm_api.core import telemetry
from pm_api.core.actor import CreditScope
from pm_api.core.errors import ApiError
from pm_api.core.platform import Platform
from pm_api.core.problem import problem_body
from pm_api.core.schema import Timestamp
from pm_api.domains.ai_credits import ledger
from pm_api.domains.ai_credits.book import Entry
from pm_api.domains.ai_credits.catalogue import Catalogue, Price
from pm_api.domains.ai_credits.enums import Service
from pm_api.domains.ai_credits.outcomes import settled
from pm_api.domains.ai_credits.schemas.batch import SpendBatchRequest, SpendItem
from pm_api.domains.ai_credits.service import DESCRIPTION, first_answer, measured_by, spend_command, spend_order
from pm_api.domains.ai_credits.store import Answer, Order
from pm_api.domains.ai_credits.writer import LedgerWriter

NO_KEY_FOR_THE_WHOLE: Final = (
    "A batch takes no Idempotency-Key header: each item has its own idempotencyKey, which makes its retry safe."
)
_TIME: Final = TypeAdapter[Any](Timestamp)

Body = dict[str, Any]


async def spend_many(platform: Platform, scope: CreditScope, request: SpendBatchRequest) -> bytes:
    """The answer (`SpendBatchAnswer`) as JSON: how each item ended, in order.

    A refusal is an item's result and no exception. Raises LedgerBusy or Unavailable for all of them: whatever was
    written until then is answered again under its key.
    """
    by = ledger.by(scope.actor)
    prices = await _prices(platform, {item.service for item in request.items if item.service is not None})
    results: list[Body | None] = [None] * len(request.items)
    places: list[int] = []
    orders: list[Order] = []
    for index, item in enumerate(request.items):
        try:
            price = None if item.service is None else prices[item.service]
            if isinstance(price, ApiError):
                raise price
            measured = measured_by(price, item, DESCRIPTION)
        except ApiError as error:
            results[index] = await _as_before(platform, scope, index, item, error)
        else:
            orders.append(spend_order(scope, item, item.idempotency_key, measured, by))
            places.append(index)
    answers = await platform.part(LedgerWriter).submit_many(orders) if orders else []
    for index, answer in zip(places, answers, strict=True):
        results[index] = _result(platform, index, answer)
    return orjson.dumps({"results": results}, default=str)  # the driver's own UUID type


async def _as_before(platform: Platform, scope: CreditScope, index: int, item: SpendItem, error: ApiError) -> Body:
    """An item that cannot be asked for any more: its first answer, if it is a retry."""
    try:
        answer = await first_answer(platform, error, *spend_command(scope, item, item.idempotency_key))
    except ApiError as refusal:
        return _refused(index, refusal, replayed=False)
    return _result(platform, index, answer)


async def _prices(platform: Platform, services: set[Service]) -> dict[Service, Price | ApiError]:
    """What each service costs now, looked up once for all items."""
    catalogue = platform.part(Catalogue)
    found: dict[Service, Price | ApiError] = {}
    for service in services:
        try:
            found[service] = await catalogue.price_of(service)
        except ApiError as error:
            found[service] = error
    return found


def _result(platform: Platform, index: int, answer: Answer) -> Body:
    try:
        applied = settled(platform, answer)
    except ApiError as error:
        return _refused(index, error, replayed=answer.replayed)
    return {
        "index": index,
        "status": 200,
        "entry": _entry_body(applied.entries[0]),
        "balance": {"current": applied.available, "held": applied.held, "debt": applied.debt},
        "problem": None,
        "replayed": answer.replayed,
    }


def _refused(index: int, error: ApiError, *, replayed: bool) -> Body:
    return {
        "index": index,
        "status": error.status,
        "entry": None,
        "balance": None,
        "problem": orjson.Fragment(problem_body(error, telemetry.request_id())),
        "replayed": replayed,
    }


def _entry_body(entry: Entry) -> Body:
    """What `CreditEntryRead` writes, made by hand: in a batch the model would cost more than the ledger."""
    return {
        "id": entry.id,
        "accountId": entry.account_id,
        "seq": entry.seq,
        "type": entry.type,
        "amount": entry.amount,
        "balanceAfter": entry.balance_after,
        "service": entry.service,
        "quantity": entry.quantity,
        "priceVersion": entry.price_version,
        "description": entry.description,
        "metadata": orjson.Fragment(entry.details),
        "actorUserId": entry.by.user_id,
        "holdId": entry.hold_id,
        "reversesSeq": entry.reverses_seq,
        "debtAfter": entry.debt_after,
        "createdAt": _moment(entry.created_at),
    }


@lru_cache(maxsize=1024)
def _moment(moment: Any) -> str:
    text: str = _TIME.dump_python(moment, mode="json")
    return text
