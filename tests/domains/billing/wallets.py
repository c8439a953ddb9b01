"""Cards over HTTP, as the single-page app adds them, and top-ups as a worker looks at them."""

import json
from typing import Any, Final
from uuid import UUID

from pm_api.core import flows
from pm_api.core.jobs import JobContext
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.ai_credits.topups import LOOK_AT_TOPUP, AccountLow
from pm_api.domains.billing.wallets import CustomerPicture, fetch_by_customer
from pm_api.domains.payments import customers
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import StripePayment, payments
from tests.conftest import Person
from tests.domains.billing.subscribing import PAYS, Shop

Json = dict[str, Any]
METHODS: Final = "/api/billing/payment-methods"
SETUP: Final = "/api/billing/payment-methods/setup-intent"
TOP_UPS: Final = "/api/billing/top-ups"
OTHER_CARD, FAILS_LATER, ASKS_ALWAYS = "5555555555554444", "4000000000000341", "4000002760003184"
SMALL_PRICE: Final = 199


async def taken(shop: Shop, person: Person, workspace_id: str | None = None, *, number: str = PAYS) -> str:
    """A card that the browser has given to Stripe: its id there."""
    body = {"workspaceId": workspace_id} if workspace_id else {}
    made = (await shop.done(person, "POST", SETUP, 201, **body))["setupIntent"]
    confirmed = await shop.control(
        "PUT", f"/elements/{made['clientSecret']}", {"cardNumber": number, "confirm": True}
    )
    assert confirmed["error"] is None, confirmed
    found: str = confirmed["intent"]["payment_method"]
    return found


async def add_card(
    shop: Shop, person: Person, workspace_id: str | None = None, *, number: str = PAYS, **more: Any
) -> Json:
    """A card as the app adds it."""
    method_id = await taken(shop, person, workspace_id, number=number)
    body = {"paymentMethodId": method_id, **({"workspaceId": workspace_id} if workspace_id else {}), **more}
    found: Json = (await shop.done(person, "POST", METHODS, 201, **body))["paymentMethod"]
    return found


async def cards(person: Person, workspace_id: str | None = None) -> list[Json]:
    answer = await person.client.get(METHODS, params={"workspaceId": workspace_id} if workspace_id else {})
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["paymentMethods"]
    return found


async def customer_of(shop: Shop, person: Person) -> str:
    return await customers.ensure(shop.till.platform, AccountType.USER, person.id)


async def picture_of(shop: Shop, person: Person) -> CustomerPicture:
    return await fetch_by_customer(shop.door, await customer_of(shop, person))


async def hear_of(shop: Shop, about: str, *types: str) -> list[Json]:
    """Stripe tells us of everything of these types that names an object, and a worker works it off."""
    told = [event for event in await shop.events(*types) if about in json.dumps(event["data"]["object"])]
    for event in told:
        await shop.till.tell(event)
        await shop.till.drain((await shop.till.stored(event["id"]))["subject"])
    return [await shop.till.stored(event["id"]) for event in told]


# --- top-ups ----------------------------------------------------------------------------------------------------


async def wants(person: Person, workspace_id: str | None = None, **changed: Any) -> Json:
    """Settings: below 50 credits a SMALL pack, four a month at most."""
    settings = {"enabled": True, "threshold": 50, "pack": "SMALL", "monthlyCap": 4 * SMALL_PRICE, "currency": "USD"}
    answer = await person.client.put(
        "/api/credits/auto-topup",
        params={"workspaceId": workspace_id} if workspace_id else {},
        json={**settings, **changed},
    )
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["autoTopUp"]
    return found


async def state(person: Person, workspace_id: str | None = None) -> Json:
    answer = await person.client.get(
        "/api/credits/auto-topup", params={"workspaceId": workspace_id} if workspace_id else {}
    )
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["autoTopUp"]["state"]
    return found


async def look(shop: Shop, account_id: UUID | str, kind: AccountKind = AccountKind.USER) -> None:
    """What the job does that an alert or the sweep enqueues."""
    low = AccountLow(account_kind=kind, account_id=UUID(str(account_id)))
    await LOOK_AT_TOPUP.run(JobContext(shop.till.platform, LOOK_AT_TOPUP.name), low)


async def sweep_flows(shop: Shop, **later: float) -> None:
    """What a worker does about flows that nobody is at, so much time later."""
    shop.installation.clock.advance(**later)
    await flows.sweep(shop.till.platform)


async def top_ups(person: Person, workspace_id: str | None = None) -> list[Json]:
    answer = await person.client.get(TOP_UPS, params={"workspaceId": workspace_id} if workspace_id else {})
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["topUps"]
    return found


async def payments_of(shop: Shop, person: Person) -> list[StripePayment]:
    """Every payment that Stripe has of the person's customer, newest first."""
    return list((await payments.list_of_customer(shop.door, await customer_of(shop, person))).items)


async def bought(shop: Shop, account_id: UUID | str) -> int:
    """Credits that came in by automatic payments."""
    found = await shop.rows(
        "SELECT coalesce(sum(amount), 0) FROM credit_grants"
        " WHERE account_id = CAST(:id AS uuid) AND source_type = 'stripe_payment'",
        id=str(account_id),
    )
    return int(found[0][0])
