"""Refunds and disputes: money that goes back, because we give it or because it is fetched."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import stripe
from stripe.params import RefundCreateParams

from pm_api.integrations.stripe.door import StripeDoor, calling, keyed
from pm_api.integrations.stripe.values import (
    FOREVER,
    LIST_LIMIT,
    UNKNOWN,
    StripeList,
    everything,
    id_of,
    known_id_of,
    moment,
    page_size,
    seconds,
    texts,
    upper,
)


@dataclass(frozen=True, slots=True)
class StripeRefund:
    """A refund as Stripe has it now. One that succeeded can still fail later, when the bank sends it back."""

    id: str
    status: str
    amount: int
    currency: str
    charge_id: str | None
    payment_intent_id: str | None
    reason: str | None
    failure_reason: str | None
    metadata: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StripeDispute:
    """A dispute as Stripe has it now. `status` ends as `won`, `lost` or `warning_closed`."""

    id: str
    status: str
    reason: str
    amount: int
    currency: str
    charge_id: str
    payment_intent_id: str | None
    metadata: Mapping[str, str]
    created_at: datetime


async def create(
    door: StripeDoor,
    *,
    payment_intent_id: str,
    amount: int | None = None,
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None,
    metadata: Mapping[str, str],
    key: str,
) -> StripeRefund:
    """Give back `amount`, or all that is left; raises StripeRefused when that much is not left."""
    params: RefundCreateParams = {"payment_intent": payment_intent_id, "metadata": dict(metadata)}
    if amount is not None:
        params["amount"] = amount
    if reason is not None:
        params["reason"] = reason
    async with calling("refund"):
        return read_refund(await door.client.v1.refunds.create_async(params, keyed(key)))


async def retrieve(door: StripeDoor, refund_id: str) -> StripeRefund:
    async with calling(refund_id):
        return read_refund(await door.client.v1.refunds.retrieve_async(refund_id))


async def list_of_charge(door: StripeDoor, charge_id: str, *, limit: int = LIST_LIMIT) -> StripeList[StripeRefund]:
    """All refunds of a charge, failed ones too, newest first."""
    async with calling(charge_id):
        first = await door.client.v1.refunds.list_async({"charge": charge_id, "limit": page_size(limit)})
        return await everything(first, read_refund, limit)


async def list_created(
    door: StripeDoor, *, since: datetime, until: datetime = FOREVER, limit: int = LIST_LIMIT
) -> StripeList[StripeRefund]:
    """Everybody's, created in the window [since, until), newest first."""
    async with calling("refunds"):
        first = await door.client.v1.refunds.list_async(
            {"created": {"gte": seconds(since), "lt": seconds(until)}, "limit": page_size(limit)}
        )
        return await everything(first, read_refund, limit)


async def list_disputes_created(
    door: StripeDoor, *, since: datetime, until: datetime = FOREVER, limit: int = LIST_LIMIT
) -> StripeList[StripeDispute]:
    """Everybody's, started in the window [since, until), newest first."""
    async with calling("disputes"):
        first = await door.client.v1.disputes.list_async(
            {"created": {"gte": seconds(since), "lt": seconds(until)}, "limit": page_size(limit)}
        )
        return await everything(first, read_dispute, limit)


async def list_disputes_of_charge(
    door: StripeDoor, charge_id: str, *, limit: int = LIST_LIMIT
) -> StripeList[StripeDispute]:
    """All disputes of a charge, those that ended too, newest first."""
    async with calling(charge_id):
        first = await door.client.v1.disputes.list_async({"charge": charge_id, "limit": page_size(limit)})
        return await everything(first, read_dispute, limit)


async def retrieve_dispute(door: StripeDoor, dispute_id: str) -> StripeDispute:
    async with calling(dispute_id):
        return read_dispute(await door.client.v1.disputes.retrieve_async(dispute_id))


def read_refund(found: stripe.Refund) -> StripeRefund:
    return StripeRefund(
        id=found.id,
        status=found.status or UNKNOWN,
        amount=found.amount,
        currency=upper(found.currency),
        charge_id=id_of(found.charge),
        payment_intent_id=id_of(found.payment_intent),
        reason=found.reason,
        failure_reason=found.failure_reason if "failure_reason" in found else None,
        metadata=texts(found.metadata),
        created_at=moment(found.created),
    )


def read_dispute(found: stripe.Dispute) -> StripeDispute:
    return StripeDispute(
        id=found.id,
        status=found.status,
        reason=found.reason,
        amount=found.amount,
        currency=upper(found.currency),
        charge_id=known_id_of(found.charge),
        payment_intent_id=id_of(found.payment_intent),
        metadata=texts(found.metadata),
        created_at=moment(found.created),
    )
