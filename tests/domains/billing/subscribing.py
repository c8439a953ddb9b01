"""A shop that sells plans: our service, the sandbox Stripe in the same time, people and workspaces."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from pm_api.core.jobs import JobContext
from pm_api.domains.billing import jobs as billing_jobs
from pm_api.domains.billing import pictures, subscriptions
from pm_api.domains.payments import customers
from pm_api.entitlements.enums import AccountType
from pm_api.entitlements.rules import Standing
from pm_api.integrations.stripe import StripeDoor, StripeSubscription, payment_methods
from pm_api.integrations.stripe import customers as stripe_customers
from pm_api.integrations.stripe import subscriptions as stripe_subscriptions
from tests.conftest import Person, register
from tests.domains.billing.accounts import Installation
from tests.identity.teams import make_workspace
from tests.support.shelf import SHELF
from tests.support.stripe import Till

Json = dict[str, Any]
PAYS, DECLINES, ASKS = "4242424242424242", "4000000000000002", "4000002500003155"
VISA, MASTERCARD, FAILS_LATER = "pm_card_visa", "pm_card_mastercard", "pm_card_chargeCustomerFail"
SUBSCRIPTIONS = "/api/billing/subscriptions"
SUBSCRIPTION = "/api/billing/subscription"
STANDARD, PREMIUM, PRO = 9999, 19999, 2999


@dataclass
class Shop:
    """One installation whose Stripe is the sandbox."""

    till: Till
    prices: dict[str, str]
    installation: Installation
    people: list[Person] = field(default_factory=list)

    @property
    def door(self) -> StripeDoor:
        return self.till.platform.part(StripeDoor)

    @property
    def now(self) -> datetime:
        return self.till.platform.clock.now()

    # --- people --------------------------------------------------------------------------------------------

    async def person(self) -> Person:
        self.people.append(await register(self.till.app))
        return self.people[-1]

    async def team(self) -> tuple[Person, str]:
        """Somebody with a workspace."""
        owner = await self.person()
        return owner, str((await make_workspace(owner))["id"])

    async def card(self, kind: AccountType, account_id: UUID | str, token: str = VISA) -> str:
        """A card on file, the default one."""
        customer_id = await customers.ensure(self.till.platform, kind, UUID(str(account_id)))
        kept = await payment_methods.attach(self.door, token, customer_id, key=new_key())
        await stripe_customers.set_default_payment_method(self.door, customer_id, kept.id, key=new_key())
        return kept.id

    # --- requests ------------------------------------------------------------------------------------------

    async def send(
        self,
        person: Person,
        method: str,
        path: str,
        *,
        key: str | None = "",
        match: str | None = None,
        **body: Any,
    ) -> httpx.Response:
        """Under a key of its own, unless one is named; None sends none."""
        headers = {} if key is None else {"Idempotency-Key": key or new_key()}
        if match is not None:
            headers["If-Match"] = match
        return await person.client.request(method, path, headers=headers, json=body)

    async def done(self, person: Person, method: str, path: str, status: int = 200, **body: Any) -> Json:
        answer = await self.send(person, method, path, **body)
        assert answer.status_code == status, answer.text
        found: Json = answer.json()
        return found

    async def refused(self, person: Person, method: str, path: str, **body: Any) -> tuple[int, str]:
        answer = await self.send(person, method, path, **body)
        assert answer.status_code >= 400, answer.text
        return answer.status_code, answer.json()["code"]

    async def shown(self, person: Person, workspace_id: str | None = None) -> Json:
        parameters = {"workspaceId": workspace_id} if workspace_id else {}
        answer = await person.client.get(SUBSCRIPTIONS, params=parameters)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()["subscription"]
        return found

    async def active(self, person: Person, workspace_id: str | None = None, *, card: str = PAYS, **body: Any) -> Json:
        """A subscription that was begun and paid for in the browser."""
        wanted = {"plan": "TEAM_STANDARD" if workspace_id else "INDIVIDUAL_PRO", **body}
        if workspace_id is not None:
            wanted["workspaceId"] = workspace_id
        begun = await self.done(person, "POST", SUBSCRIPTIONS, 201, **wanted)
        assert begun["subscription"]["status"] == "INCOMPLETE", begun
        await self.pay(begun["clientSecret"], card)
        await self.hear(begun["subscription"]["stripeSubscriptionId"])
        found = await self.shown(person, workspace_id)
        assert found["status"] == "ACTIVE", found
        return found

    # --- Stripe --------------------------------------------------------------------------------------------

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.till.stripe.http.request(method, f"/_sandbox{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def pay(self, client_secret: str, card: str = PAYS, *, confirm: bool | None = None) -> Json:
        """What Stripe's library does in the buyer's browser."""
        entry: Json = {"cardNumber": card}
        if confirm is not None:
            entry["confirm"] = confirm
        found: Json = await self.control("PUT", f"/elements/{client_secret}", entry)
        return found

    async def at_stripe(self, stripe_id: str) -> StripeSubscription:
        return await stripe_subscriptions.retrieve(self.door, stripe_id)

    async def all_at_stripe(self, kind: AccountType, account_id: UUID | str) -> list[StripeSubscription]:
        customer_id = await customers.ensure(self.till.platform, kind, UUID(str(account_id)))
        return list((await stripe_subscriptions.list_of_customer(self.door, customer_id)).items)

    async def all_customers(self, kind: AccountType, account_id: UUID | str) -> list[str]:
        return [await customers.ensure(self.till.platform, kind, UUID(str(account_id)))]

    async def made_elsewhere(
        self,
        team: str,
        price: str = "team_standard_monthly",
        *,
        pay: bool = False,
        metadata: dict[str, str] | None = None,
    ) -> str:
        """A subscription that was not begun by a request to us; paid with the card on file if that is wanted."""
        [customer] = await self.all_customers(AccountType.WORKSPACE, team)
        made = await stripe_subscriptions.create(
            self.door, customer_id=customer, price_id=self.prices[price], metadata=metadata or {}, key=new_key()
        )
        if pay:
            assert made.client_secret is not None
            await self.pay(made.client_secret)
        return made.id

    async def end_held(self, stripe_id: str) -> None:
        """What the worker does about a subscription that was held."""
        context = JobContext(self.till.platform, "test", attempt=1)
        await subscriptions.END_HELD.run(context, subscriptions.HeldSubscription(stripe_subscription_id=stripe_id))

    async def end_graces(self) -> None:
        await billing_jobs.end_graces(JobContext(self.till.platform, "test", attempt=1))

    async def picture(self, stripe_id: str) -> pictures.SubscriptionPicture:
        return await pictures.fetch_by_subscription(self.door, stripe_id)

    async def hear(self, stripe_id: str) -> str:
        """What any event about the subscription brings."""
        return await self.apply(await self.picture(stripe_id))

    async def apply(self, picture: pictures.SubscriptionPicture) -> str:
        async with self.till.platform.database.transaction() as session:
            return await subscriptions.apply_picture(session, self.till.platform, picture)

    async def move(self, **duration: float) -> None:
        """Time goes on, here and at Stripe."""
        passed = timedelta(**duration)
        await self.control("POST", "/clock", {"advanceS": int(passed.total_seconds())})
        clock = self.installation.clock
        clock.shift_to(clock.offset + passed)

    async def move_to(self, moment: datetime) -> None:
        await self.move(seconds=(moment - self.now).total_seconds())

    async def events(self, *types: str) -> list[Json]:
        """Stripe's events of these types, oldest first."""
        answer = await self.till.stripe.http.get(
            "/v1/events",
            params={"limit": 100},
            headers={"Authorization": f"Bearer {self.till.platform.settings.stripe.secret_key.get_secret_value()}"},
        )
        assert answer.status_code == 200, answer.text
        return [one for one in reversed(answer.json()["data"]) if one["type"] in types]

    # --- what is there -------------------------------------------------------------------------------------

    async def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        return await self.installation.rows(statement, **values)

    async def credits(self, workspace_id: str | None, person: Person | None = None) -> int:
        if workspace_id is not None:
            return await self.installation.credits(AccountType.WORKSPACE, UUID(workspace_id))
        assert person is not None
        return await self.installation.credits(AccountType.USER, person.id)

    async def standing(self, workspace_id: str) -> Standing:
        return await self.installation.standing(AccountType.WORKSPACE, UUID(workspace_id))

    async def notices(self, person: Person, type: str) -> list[Json]:
        """What somebody was told of this type, oldest first: title, body and data."""
        found = await self.rows(
            "SELECT title, body, data FROM notifications WHERE user_id = :id AND type = :type ORDER BY id",
            id=person.id,
            type=type,
        )
        return [
            {"title": title, "body": body, "data": json.loads(data) if isinstance(data, str) else data}
            for title, body, data in found
        ]


def new_key() -> str:
    return f"test-{uuid4().hex}"


@asynccontextmanager
async def open_shop() -> AsyncIterator[Shop]:
    async with SHELF.till(stocked=True) as kept:
        shop = Shop(kept.till, kept.prices, Installation(kept.till.platform, kept.till.app))
        try:
            yield shop
        finally:
            for person in shop.people:
                await person.client.aclose()
