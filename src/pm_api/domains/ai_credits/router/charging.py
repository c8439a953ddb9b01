"""Examples of charged work, to try an integration with and to copy from: one answers with JSON, one streams."""

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from pm_api.core import telemetry
from pm_api.core.errors import ApiError
from pm_api.core.idempotency import (
    IdempotencyInProgress,
    IdempotencyKeyReused,
    InvalidIdempotencyKey,
    api_router,
)
from pm_api.core.openapi import answers_with, raises
from pm_api.core.problem import problem_body
from pm_api.domains.ai_credits.charging import Charge, Receipt, costs
from pm_api.domains.ai_credits.enums import Service
from pm_api.domains.ai_credits.errors import (
    AlreadyCharged,
    AmountTooLarge,
    ClientGone,
    HoldExpired,
    InsufficientCredits,
    LedgerBusy,
    SpendingCapReached,
    TooManyHolds,
    UnknownService,
    WorkFailed,
)
from pm_api.domains.ai_credits.guards import charged, charged_stream
from pm_api.domains.ai_credits.schemas.charging import (
    ChargedUsage,
    ExampleResult,
    StreamCreditsRequest,
    UseCreditsAnswer,
    UseCreditsRequest,
)

CHARGE_PROBLEMS: Final = (
    InsufficientCredits,
    SpendingCapReached,
    TooManyHolds,
    UnknownService,
    AmountTooLarge,
    HoldExpired,
    AlreadyCharged,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    InvalidIdempotencyKey,
    LedgerBusy,
)
"""What any route that charges may answer."""
EXAMPLE_MODEL: Final = "example"

router = api_router(tag="ai credits")


def service_of(body: UseCreditsRequest | StreamCreditsRequest) -> Service:
    return body.service


def quantity_of(body: UseCreditsRequest) -> int:
    return body.quantity


@router.post(
    "/example/use-credits",
    operation_id="useCredits",
    responses={200: answers_with("Idempotent-Replayed")},
    openapi_extra=raises(WorkFailed, ClientGone, *CHARGE_PROBLEMS) | costs(Service.TASK_GENERATION),
)
async def use_credits(
    work: Annotated[Charge, Depends(charged(service_of, UseCreditsRequest, quantity=quantity_of), scope="function")],
    body: UseCreditsRequest,
) -> UseCreditsAnswer:
    """Work that costs credits: held before it begins, charged when it has succeeded, given back when it has not.

    Under an Idempotency-Key it is done and charged once, and a retry gets the first answer again. `already_charged`
    is left for work that was paid for and whose answer was lost before it could be kept.
    """
    if body.fail:
        raise WorkFailed
    words = len(body.text.split())
    work.report(
        model=EXAMPLE_MODEL,
        tokens_in=words,
        tokens_out=1,
        units=None if body.units is None else min(body.units, body.quantity),
        text=body.text,
    )
    receipt = await work.capture()
    return UseCreditsAnswer(
        result=ExampleResult(words=words, characters=len(body.text)), usage=usage_of(work, receipt)
    )


@router.post(
    "/example/stream-credits",
    operation_id="streamCredits",
    response_class=EventSourceResponse,
    openapi_extra=raises(*CHARGE_PROBLEMS) | costs(Service.CHAT_ASSISTANT),
)
async def stream_credits(
    work: Annotated[Charge, Depends(charged_stream(service_of, StreamCreditsRequest), scope="request")],
    body: StreamCreditsRequest,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events of work that costs credits; whoever leaves before the end is not charged.

    - `word` {word}: a piece of the work.
    - `usage` as in `POST /api/example/use-credits`: the last one, when all went well.
    - `error` (a problem): the last one, when the work failed; nothing was charged.
    """
    try:
        async with work:
            words = body.text.split()
            for word in words:
                yield ServerSentEvent(event="word", data={"word": word})
            if body.fail:
                raise WorkFailed
            work.report(model=EXAMPLE_MODEL, tokens_in=1, tokens_out=len(words), text=body.text)
            receipt = await work.capture()
    except ApiError as failure:
        yield ServerSentEvent(event="error", raw_data=problem_body(failure, telemetry.request_id()).decode())
        return
    yield ServerSentEvent(event="usage", raw_data=usage_of(work, receipt).model_dump_json(by_alias=True))


def usage_of(work: Charge, receipt: Receipt) -> ChargedUsage:
    """What an answer tells about its cost."""
    return ChargedUsage(
        credits_used=receipt.credits,
        service=work.service,
        balance=receipt.balance,
        hold_id=receipt.hold_id,
        entry_id=receipt.entry_id,
        usage_log_id=receipt.log_id,
    )
