"""`/_sandbox`: what tests and the command line steer the sandbox with. No key: it stands on this machine only."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from pm_api.sandbox.stripe.cards import CARDS
from pm_api.sandbox.stripe.checkout import Line, complete, open_session
from pm_api.sandbox.stripe.manners import Manners, manners_of, set_manners
from pm_api.sandbox.stripe.objects.catalogue import build_price, build_product
from pm_api.sandbox.stripe.objects.checkout import PaymentStatus, Status
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.customers import build_customer
from pm_api.sandbox.stripe.objects.events import build_event
from pm_api.sandbox.stripe.objects.payments import build_card, build_payment_intent
from pm_api.sandbox.stripe.payments import settle_intent
from pm_api.sandbox.stripe.resources.checkout import LIFETIME_S
from pm_api.sandbox.stripe.store import REQUEST_LOG_LIMIT
from pm_api.sandbox.stripe.world import Sandbox

router = APIRouter(prefix="/_sandbox")
SEED_CARD = CARDS["4242424242424242"]


class ControlError(Exception):
    """A control call that cannot be carried out; answered as `{"error": <sentence>}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def answer_control_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ControlError)
    return JSONResponse({"error": error.message}, status_code=error.status)


class Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class SeedLine(Body):
    name: str = Field(min_length=1)
    amount_minor: int = Field(ge=0)
    currency: str = Field(default="usd", pattern="^[a-z]{3}$")
    quantity: int = Field(default=1, ge=1)


class SeedSession(Body):
    """A session as it stands after a visit to the hosted page. An unknown customer id is created."""

    client_reference_id: str | None = None
    customer_id: str | None = None
    customer_email: str | None = None
    metadata: dict[str, str] = {}
    line_items: list[SeedLine] = Field(min_length=1, max_length=100)
    payment_status: PaymentStatus = "paid"
    status: Status = "complete"
    success_url: str | None = None
    cancel_url: str | None = None


class NewEvent(Body):
    """Exactly one of `object_id` (a stored object) and `object` (any, and it is not stored)."""

    type: str = Field(min_length=1)
    object_id: str | None = None
    object: dict[str, Any] | None = None
    id: str | None = None
    created: int | None = None
    previous_attributes: dict[str, Any] | None = None


class Deliver(Body):
    times: int = Field(default=1, ge=1, le=50)
    concurrently: bool = False


class DeliverySwitch(Body):
    """`reorder` and `drop_every` are sizes of groups: of each so many the last goes first, or never."""

    duplicate: int = Field(default=0, ge=0, le=10)
    delay_s: float = Field(default=0, ge=0, le=300)
    reorder: int = Field(default=0, ge=0, le=100)
    drop_every: int = Field(default=0, ge=0, le=100)
    type_prefix: str = Field(default="", max_length=255)


class FaultSwitch(Body):
    path_prefix: str = Field(
        default="/v1", validation_alias=AliasChoices("pathPrefix", "path_prefix"), serialization_alias="pathPrefix"
    )
    method: Literal["GET", "POST", "DELETE"] | None = None
    status: int | None = Field(default=None, ge=400, le=599)
    delay_s: float = Field(default=0, ge=0, le=300)
    times: int = Field(default=1, ge=1, le=1000)
    act_then_fail: bool = False


def sandbox_of(request: Request) -> Sandbox:
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox


@router.put("/objects")
async def put_object(request: Request, body: dict[str, Any]) -> Json:
    """Store any object as it is, by its `object` and `id`. Line items embedded in a session become its own.

    Such a session neither expires by itself nor has a payment page.
    """
    for name in ("id", "object"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise ControlError(422, f"The object needs a text `{name}`.")
    sandbox = sandbox_of(request)
    items = body.pop("line_items", None) if body["object"] == "checkout.session" else None
    with sandbox.store.transaction():
        sandbox.store.save(body, frozen=True)
        if isinstance(items, dict):
            sandbox.store.delete_children(body["id"])
            for item in items["data"]:
                sandbox.store.save(item, parent=body["id"])
    return body


@router.post("/checkout-sessions")
async def seed_session(request: Request, body: SeedSession) -> Json:
    """A session with its products, prices, line items and payment. Its event exists, and nobody is told of it."""
    sandbox = sandbox_of(request)
    if len({line.currency for line in body.line_items}) > 1:
        raise ControlError(422, "All line items must have the same currency.")
    with sandbox.store.transaction():
        email = _seed_customer(sandbox, body)
        session = open_session(
            sandbox,
            [_seed_line(sandbox, line) for line in body.line_items],
            created=sandbox.now(),
            expires_at=sandbox.now() + LIFETIME_S,
            base_url=str(request.base_url),
            client_reference_id=body.client_reference_id,
            customer_id=body.customer_id,
            customer_email=None if body.customer_id else body.customer_email,
            metadata=body.metadata,
            success_url=body.success_url,
            cancel_url=body.cancel_url,
        )
        if body.status == "complete":
            _seed_payment(sandbox, session, body, email)
            complete(sandbox, session, email=email, name=None, payment_status=body.payment_status)
        elif body.status == "expired":
            session.update(status="expired", url=None)
            sandbox.store.save(session)
        event_type = {"complete": "checkout.session.completed", "expired": "checkout.session.expired"}.get(
            body.status
        )
        event = _silent_event(sandbox, event_type, session) if event_type else None
    return {"session": session, "event": event}


@router.post("/events")
async def create_event(request: Request, body: NewEvent) -> Json:
    """A further event around an object: the same session can be told of under two event ids. Not delivered."""
    sandbox = sandbox_of(request)
    if (body.object is None) == (body.object_id is None):
        raise ControlError(422, "Give exactly one of `objectId` and `object`.")
    about = body.object if body.object is not None else sandbox.store.find(body.object_id or "")
    if about is None:
        raise ControlError(404, f"There is no object {body.object_id}.")
    if body.id is not None and sandbox.store.find(body.id) is not None:
        raise ControlError(409, f"There is already an object {body.id}.")
    return sandbox.store.save(
        build_event(
            created=sandbox.now() if body.created is None else body.created,
            event_type=body.type,
            about=about,
            event_id=body.id,
            previous_attributes=body.previous_attributes,
        )
    )


@router.post("/events/{event_id}/deliver")
async def deliver_event(request: Request, event_id: str, body: Deliver | None = None) -> Json:
    """Send it, signed, so many times; answers the statuses in order, null where no answer came."""
    sandbox, wanted = sandbox_of(request), body or Deliver()
    event = sandbox.store.find(event_id, "event")
    if event is None:
        raise ControlError(404, f"There is no event {event_id}.")
    if sandbox.deliverer.endpoint.url is None:
        raise ControlError(409, "The sandbox was started without a webhook URL.")
    if wanted.concurrently:
        attempts = await asyncio.gather(*(sandbox.deliverer.send(event) for _ in range(wanted.times)))
    else:
        attempts = [await sandbox.deliverer.send(event) for _ in range(wanted.times)]
    return {"statuses": [attempt.status for attempt in attempts]}


@router.get("/delivery")
async def read_manners(request: Request) -> Json:
    """How events reach the endpoint from now on."""
    return DeliverySwitch(**asdict(manners_of(sandbox_of(request).store))).model_dump(by_alias=True)


@router.put("/delivery")
async def put_manners(request: Request, body: DeliverySwitch) -> Json:
    """More than once, late, out of order, or never: what is not said is as it should be."""
    set_manners(sandbox_of(request).store, Manners(**body.model_dump()))
    return await read_manners(request)


@router.delete("/delivery")
async def clear_manners(request: Request) -> Json:
    """As they come, once each."""
    set_manners(sandbox_of(request).store, Manners())
    return await read_manners(request)


@router.post("/reset")
async def reset(request: Request) -> Json:
    """Forget everything, also what is still owed to the endpoint."""
    sandbox = sandbox_of(request)
    await sandbox.deliverer.stop()
    sandbox.store.reset()
    return {"reset": True}


@router.put("/faults")
async def set_fault(request: Request, body: FaultSwitch) -> Json:
    """The one switch from now on; those set before are gone."""
    sandbox_of(request).store.clear_faults()
    return await add_fault(request, body)


@router.post("/faults")
async def add_fault(request: Request, body: FaultSwitch) -> Json:
    """A further switch; the oldest that fits a call strikes it."""
    slow_only = body.delay_s > 0
    status = body.status if body.status is not None or slow_only else 500
    switch = {**body.model_dump(exclude={"times"}), "status": status}
    sandbox_of(request).store.add_fault(switch, times=body.times)
    return await list_faults(request)


@router.get("/faults")
async def list_faults(request: Request) -> Json:
    """The switches that still have something to strike."""
    switches = [
        FaultSwitch(**switch, times=remaining).model_dump(by_alias=True)
        for _, remaining, switch in sandbox_of(request).store.faults()
    ]
    return {"faults": switches}


@router.delete("/faults")
async def clear_faults(request: Request) -> Json:
    sandbox_of(request).store.clear_faults()
    return {"faults": []}


@router.get("/requests")
async def list_requests(request: Request, limit: Annotated[int, Query(ge=1, le=REQUEST_LOG_LIMIT)] = 1000) -> Json:
    """The newest API requests, also refused and replayed ones, oldest of them first."""
    return {"requests": sandbox_of(request).store.requests(limit)}


def _seed_customer(sandbox: Sandbox, body: SeedSession) -> str | None:
    if body.customer_id is None:
        return body.customer_email
    customer = sandbox.store.find(body.customer_id, "customer")
    if customer is None:
        customer = build_customer(created=sandbox.now(), customer_id=body.customer_id, email=body.customer_email)
        sandbox.store.save(customer)
    return body.customer_email or customer.get("email")


def _seed_line(sandbox: Sandbox, line: SeedLine) -> Line:
    product = sandbox.store.save(build_product(created=sandbox.now(), name=line.name))
    price = build_price(
        created=sandbox.now(), product_id=product["id"], currency=line.currency, unit_amount=line.amount_minor
    )
    return Line(price=sandbox.store.save(price), quantity=line.quantity, description=line.name)


def _seed_payment(sandbox: Sandbox, session: Json, body: SeedSession, email: str | None) -> None:
    """Complete and unpaid means that the money is still on its way: the intent is processing."""
    if body.payment_status == "no_payment_required":
        return
    intent = build_payment_intent(
        created=sandbox.now(),
        amount=session["amount_total"],
        currency=session["currency"],
        customer_id=session["customer"],
    )
    session["payment_intent"] = intent["id"]
    card = build_card(
        created=sandbox.now(),
        last4=SEED_CARD.last4,
        fingerprint=SEED_CARD.fingerprint,
        expires=(12, sandbox.clock().year + 3),
        email=email,
        name=None,
    )
    sandbox.store.save(card)
    if body.payment_status == "paid":
        settle_intent(sandbox, intent, card)
    else:
        sandbox.store.save(intent | {"status": "processing", "payment_method": card["id"]})


def _silent_event(sandbox: Sandbox, event_type: str, about: Json) -> Json:
    return sandbox.store.save(build_event(created=sandbox.now(), event_type=event_type, about=about))
