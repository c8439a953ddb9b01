"""`/_sandbox`: what others do by themselves: disputes, failed refunds, renewed cards, the dashboard's settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from pm_api.sandbox.stripe.control import Body, ControlError, sandbox_of
from pm_api.sandbox.stripe.errors import ApiError
from pm_api.sandbox.stripe.intents import timeline_of
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.refunds import close_dispute, fail_refund, open_dispute
from pm_api.sandbox.stripe.store import field_is
from pm_api.sandbox.stripe.telling import told
from pm_api.sandbox.stripe.world import Sandbox

router = APIRouter(prefix="/_sandbox")
Reason = Literal[
    "credit_not_processed",
    "duplicate",
    "fraudulent",
    "general",
    "product_not_received",
    "product_unacceptable",
    "subscription_canceled",
    "unrecognized",
]


class NewDispute(Body):
    """Exactly one of `charge` and `payment_intent`. Without an amount it is about all of the charge."""

    charge: str | None = None
    payment_intent: str | None = None
    amount_minor: int | None = Field(default=None, ge=1)
    reason: Reason = "fraudulent"
    inquiry: bool = False


class Verdict(Body):
    outcome: Literal["won", "lost"]


class SavedSettings(Body):
    configuration: str


class RenewedCard(Body):
    """What the bank put in the place of the old card."""

    exp_month: int = Field(ge=1, le=12)
    exp_year: int = Field(ge=2000, le=2100)
    last4: str | None = Field(default=None, pattern="^[0-9]{4}$")


@router.post("/disputes")
async def start_dispute(request: Request, body: NewDispute) -> Json:
    """The cardholder complains at their bank. Answers the dispute; the events are told."""
    sandbox = sandbox_of(request)
    if (body.charge is None) == (body.payment_intent is None):
        raise ControlError(422, "Give exactly one of `charge` and `paymentIntent`.")
    charge_id = body.charge
    if body.payment_intent is not None:
        charge_id = _found(sandbox, "payment_intent", body.payment_intent)["latest_charge"]
    charge = _found(sandbox, "charge", charge_id or "")
    with _refusals_told(), sandbox.store.transaction():
        return open_dispute(
            timeline_of(sandbox, charge["customer"]),
            charge,
            amount=body.amount_minor,
            reason=body.reason,
            is_inquiry=body.inquiry,
        )


@router.post("/disputes/{dispute_id}/close")
async def end_dispute(request: Request, dispute_id: str, body: Verdict) -> Json:
    """The bank decides. An inquiry can only be closed, which is `won`."""
    sandbox = sandbox_of(request)
    dispute = _found(sandbox, "dispute", dispute_id)
    charge = _found(sandbox, "charge", dispute["charge"])
    with _refusals_told(), sandbox.store.transaction():
        return close_dispute(timeline_of(sandbox, charge["customer"]), dispute, won=body.outcome == "won")


@router.post("/refunds/{refund_id}/fail")
async def return_refund(request: Request, refund_id: str) -> Json:
    """The bank could not give the money to the cardholder and sent it back."""
    sandbox = sandbox_of(request)
    made = _found(sandbox, "refund", refund_id)
    if made["status"] != "succeeded":
        raise ControlError(409, f"The refund's status is {made['status']}.")
    with sandbox.store.transaction():
        return fail_refund(sandbox, made)


@router.post("/payment-methods/{method_id}/renew")
async def renew_card(request: Request, method_id: str, body: RenewedCard) -> Json:
    """The bank sent a new card, and the network told Stripe: `payment_method.automatically_updated`."""
    sandbox = sandbox_of(request)
    method = _found(sandbox, "payment_method", method_id)
    before = deepcopy(method)
    method["card"].update(exp_month=body.exp_month, exp_year=body.exp_year)
    if body.last4 is not None:
        method["card"]["last4"] = body.last4
    with sandbox.store.transaction():
        return told(sandbox, before, method, "payment_method.automatically_updated")


@router.put("/portal-default")
async def save_portal_settings(request: Request, body: SavedSettings) -> Json:
    """Saving the portal's settings in the dashboard: sessions that name no configuration get this one."""
    sandbox = sandbox_of(request)
    chosen = _found(sandbox, "billing_portal.configuration", body.configuration)
    with sandbox.store.transaction():
        for other in sandbox.store.all("billing_portal.configuration", [field_is("is_default", True)]):
            sandbox.store.save(other | {"is_default": False})
        return sandbox.store.save(chosen | {"is_default": True, "active": True})


@contextmanager
def _refusals_told() -> Iterator[None]:
    """A refusal of the room below becomes the control routes' own answer."""
    try:
        yield
    except ApiError as error:
        raise ControlError(409, error.message) from error


def _found(sandbox: Sandbox, object_name: str, identifier: str) -> Json:
    body = sandbox.store.find(identifier, object_name)
    if body is None:
        raise ControlError(404, f"There is no {object_name} {identifier}.")
    return body
