"""`/_sandbox/clock` and `/_sandbox/collection`: the world's time, and what happens to unpaid invoices."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, Field

from pm_api.sandbox.stripe.billing.clockwork import move_world, offset_s
from pm_api.sandbox.stripe.billing.settings import (
    CollectionRules,
    LastStep,
    collection_rules,
    set_collection_rules,
)
from pm_api.sandbox.stripe.control import Body, ControlError, sandbox_of
from pm_api.sandbox.stripe.objects.common import Json

router = APIRouter(prefix="/_sandbox")
FURTHEST_S = 10 * 366 * 24 * 60 * 60


class MoveClock(Body):
    """Exactly one: so many seconds on, a whole offset against the clock the sandbox was started with, or a moment.

    Time never goes back: an offset or moment behind the present one changes nothing.
    """

    advance_s: int | None = Field(default=None, ge=0, le=FURTHEST_S)
    offset_s: int | None = Field(default=None, ge=0, le=FURTHEST_S)
    to: AwareDatetime | None = None


class Collection(Body):
    retry_days: list[Annotated[int, Field(ge=1, le=60)]] = Field(default=[3, 5, 7], max_length=8)
    last_step: LastStep = "cancel"


@router.get("/clock")
async def show_clock(request: Request) -> Json:
    sandbox = sandbox_of(request)
    return _shown(sandbox.clock(), offset_s(sandbox))


@router.post("/clock")
async def move_clock(request: Request, body: MoveClock) -> Json:
    """Move the world on and carry out all that this brings; answers once it is done."""
    if sum(value is not None for value in (body.advance_s, body.offset_s, body.to)) != 1:
        raise ControlError(422, "Give exactly one of `advanceS`, `offsetS` and `to`.")
    sandbox = sandbox_of(request)
    present = offset_s(sandbox)
    if body.advance_s is not None:
        wanted = present + body.advance_s
    elif body.offset_s is not None:
        wanted = body.offset_s
    else:
        assert body.to is not None
        wanted = present + int((body.to - sandbox.clock()).total_seconds())
    if wanted > FURTHEST_S:
        raise ControlError(422, "The sandbox does not go more than ten years ahead.")
    return _shown(move_world(sandbox, wanted), offset_s(sandbox))


@router.get("/collection")
async def show_collection(request: Request) -> Json:
    rules = collection_rules(sandbox_of(request).store)
    return {"retryDays": list(rules.retry_days), "lastStep": rules.last_step}


@router.put("/collection")
async def set_collection(request: Request, body: Collection) -> Json:
    """When a failed renewal is tried again, and whether the last failure cancels, leaves unpaid or past due."""
    rules = CollectionRules(retry_days=tuple(body.retry_days), last_step=body.last_step)
    set_collection_rules(sandbox_of(request).store, rules)
    return await show_collection(request)


def _shown(now: datetime, offset: int) -> Json:
    return {"now": now.isoformat(), "offsetS": offset}
