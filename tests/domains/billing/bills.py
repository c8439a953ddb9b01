"""What tests of invoices and refunds do in a shop: buy packs, hear of things, give money back, read bills."""

from typing import Any
from uuid import UUID

import httpx

from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.integrations.stripe import StripeCheckout, StripeRefund
from pm_api.integrations.stripe import refunds as stripe_refunds
from tests.conftest import Person, client_of
from tests.domains.billing.accounts import OPERATOR
from tests.domains.billing.subscribing import Shop, new_key
from tests.support import purchases

Json = dict[str, Any]
INVOICES = "/api/billing/invoices"
HISTORY = "/api/billing/history"
USAGE = "/api/billing/usage"
REFUNDS = "/api/admin/billing/refunds"
DISPUTES = "/api/admin/billing/disputes"
MEDIUM = 550
FREE = 10


async def tell(shop: Shop, kind: str, object_id: str) -> str:
    """What an event of this type about this object brings, as a worker applies it."""
    return await purchases.tell(shop.till.platform, kind, object_id)


async def buy_pack(shop: Shop, person: Person, *, hear: bool = True) -> StripeCheckout:
    """A MEDIUM pack, paid on the hosted page; with `hear` we have been told of it."""
    scope = UserScope(Actor(ActorKind.USER, person.id), person.id)
    buy = purchases.bought_pack if hear else purchases.pay_for_pack
    return await buy(shop.till.platform, scope)


async def give_back(shop: Shop, payment_intent_id: str | None, amount: int | None = None) -> StripeRefund:
    """At Stripe's own dashboard."""
    assert payment_intent_id is not None
    return await stripe_refunds.create(
        shop.door, payment_intent_id=payment_intent_id, amount=amount, metadata={}, key=new_key()
    )


async def dispute(shop: Shop, payment_intent_id: str | None, **more: Any) -> Json:
    found: Json = await shop.control("POST", "/disputes", {"paymentIntent": payment_intent_id, **more})
    return found


async def close_dispute(shop: Shop, dispute_id: str, outcome: str) -> None:
    await shop.control("POST", f"/disputes/{dispute_id}/close", {"outcome": outcome})


async def read(person: Person, path: str, **query: str) -> Json:
    answer = await person.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def bills(person: Person, **query: str) -> list[Json]:
    found: list[Json] = (await read(person, INVOICES, **query))["invoices"]
    return found


async def operate(shop: Shop, method: str, path: str, *, key: str | None = None, **body: Any) -> httpx.Response:
    """A call of the operator's."""
    headers = {**OPERATOR, "Idempotency-Key": key or new_key()}
    async with client_of(shop.till.app) as caller:
        return await caller.request(method, path, headers=headers, json=body or None)


async def refunded(shop: Shop, **body: Any) -> Json:
    answer = await operate(shop, "POST", REFUNDS, **{"reason": "REQUESTED_BY_CUSTOMER", **body})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()["refund"]
    return made


async def ledger(shop: Shop, account_id: UUID) -> tuple[int, int]:
    """(balance, debt) as the account's row has it."""
    [(balance, debt)] = await shop.rows("SELECT balance, debt FROM credit_accounts WHERE id = :id", id=account_id)
    return balance, debt


def authorized(shop: Shop) -> dict[str, str]:
    return {"Authorization": f"Bearer {shop.till.platform.settings.stripe.secret_key.get_secret_value()}"}


async def spend(shop: Shop, person: Person, amount: int, workspace_id: str | None = None) -> None:
    body: Json = {"amount": amount, "description": "work"}
    if workspace_id is not None:
        body["workspaceId"] = workspace_id
    await shop.done(person, "POST", "/api/credits/spend", **body)
