"""Who an account is at Stripe: one living customer, made when it is first needed."""

from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import flows
from pm_api.core.actor import SystemScope
from pm_api.core.answers import Response
from pm_api.core.errors import NotFound
from pm_api.core.flows import FlowKind, FlowView, RequestKey
from pm_api.core.idempotency import IdempotencyInProgress
from pm_api.core.platform import Platform
from pm_api.domains.payments.errors import BillingDetailsRefused
from pm_api.domains.payments.repository import customers as repository
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import (
    PaymentProviderUnavailable,
    StripeCustomer,
    StripeDoor,
    StripeRefused,
    customers,
)

Account = tuple[AccountType, UUID]

SLOW_RETRY_S: Final = 2
_SCOPE: Final = SystemScope("stripe's customers")
_DETAILS: Final = frozenset({"email", "name"})


class CreateCustomer(FlowKind[StripeCustomer]):
    """The account's customer. Its key is the account and how many customers it has had: whoever needs one at the same
    moment, or after a crash, joins the same flow.
    """

    name = "payments.create_customer"

    async def act(self, platform: Platform, flow: FlowView) -> StripeCustomer:
        wanted = flow.parameters
        try:
            return await customers.create(
                platform.part(StripeDoor),
                name=wanted["name"],
                email=wanted["email"],
                metadata={
                    "accountType": wanted["accountType"],
                    "accountId": wanted["accountId"],
                    **flow.metadata,
                },
                key=flow.key("customer"),
            )
        except StripeRefused as refused:
            if refused.parameter not in _DETAILS:
                raise
            raise BillingDetailsRefused(parameter=refused.parameter) from refused

    async def find(self, platform: Platform, flow: FlowView) -> StripeCustomer | None:
        listed = await customers.list_with_email(platform.part(StripeDoor), flow.parameters["email"])
        found = next((one for one in listed.items if one.metadata.get("flow") == str(flow.id)), None)
        if found is None and not listed.is_complete:
            raise PaymentProviderUnavailable("Too many customers share an address to tell whether one is ours.")
        return found

    async def settle(
        self, session: AsyncSession, platform: Platform, flow: FlowView, found: StripeCustomer
    ) -> Response:
        account = AccountType(flow.parameters["accountType"]), UUID(flow.parameters["accountId"])
        await repository.insert_one(session, account, found.id, platform.clock.now())
        living = await repository.living(session, account)
        return Response(orjson.dumps({"customerId": living}), media_type="application/json")


CREATE_CUSTOMER: Final = flows.register(CreateCustomer())


async def ensure(platform: Platform, kind: AccountType, account_id: UUID) -> str:
    """The account's customer at Stripe, made when there is none. Takes the network: call it with no session open.

    Raises NotFound for an account that is not there, BillingDetailsRefused, and
    PaymentProviderUnavailable, also while somebody else's making of it takes long.
    """
    account = (kind, account_id)
    async with platform.database.reading() as session:
        customer_id = await repository.living(session, account)
        if customer_id is not None:
            return customer_id
        # Not of all: the one that somebody makes between these two reads must not lead to a second.
        number = await repository.count_deleted(session, account) + 1

    async def begin(session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        person = await repository.person(session, account)
        if person is None:
            raise NotFound
        name, email = person
        return {"accountType": kind, "accountId": account_id, "name": name, "email": email}

    asked = RequestKey(
        caller=f"account:{kind}:{account_id}", route=CREATE_CUSTOMER.name, key=str(number), fingerprint=b""
    )
    try:
        answer = await flows.run(platform, CREATE_CUSTOMER, begin, request_key=asked, subject=account_id)
    except IdempotencyInProgress as slow:
        # No refusal of what the customer is needed for: a flow around this would keep it with its caller's key.
        raise PaymentProviderUnavailable(retry_after_s=SLOW_RETRY_S) from slow
    made: str = orjson.loads(answer.body)["customerId"]
    return made


async def known(session: AsyncSession, kind: AccountType, account_id: UUID) -> str | None:
    """The account's customer at Stripe, if it has one."""
    return await repository.living(session, (kind, account_id))


async def owner_of(session: AsyncSession, stripe_customer_id: str) -> Account | None:
    """Whose customer it is, or was before it was deleted; None for a stranger."""
    return await repository.account_of(session, _SCOPE, stripe_customer_id)


async def forget(session: AsyncSession, platform: Platform, stripe_customer_id: str) -> None:
    """Stripe has deleted this customer: the account gets a new one when it next needs one."""
    await repository.mark_deleted(session, _SCOPE, stripe_customer_id, platform.clock.now())
