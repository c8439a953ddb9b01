"""Charging for automatic top-ups, and calling off those that their buyer did not confirm."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import flows
from pm_api.core.answers import Response
from pm_api.core.flows import ChangeInProgress, FlowKind, FlowView
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import topup_charges
from pm_api.domains.ai_credits.topup_charges import NotDue
from pm_api.domains.billing import accounts, auto_topup
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.auto_topup import Refused
from pm_api.domains.billing.models.payment_methods import TopUpPayment
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import (
    CardDeclined,
    StripeDoor,
    StripeObjectMissing,
    StripePayment,
    StripeRefused,
    payments,
)

LOOKED_THROUGH: Final = 100
SUCCEEDED: Final = "succeeded"
ENDED: Final = frozenset({SUCCEEDED, auto_topup.CANCELED})


def one_at_a_time(account_id: UUID) -> str:
    """An account buys once at a time, however many noticed that it is low."""
    return f"auto_topup:{account_id}"


class Charge(FlowKind[StripePayment | Refused]):
    """Take the price from the card on file. A decline is a result like a payment: Stripe keeps what was tried."""

    name = "billing.auto_topup"

    async def act(self, platform: Platform, flow: FlowView) -> StripePayment | Refused:
        door, pinned = platform.part(StripeDoor), flow.parameters
        account = AccountType(pinned["accountType"]), UUID(pinned["accountId"])
        try:
            return await payments.charge_off_session(
                door,
                customer_id=pinned["customerId"],
                payment_method_id=pinned["paymentMethodId"],
                amount=pinned["amount"],
                currency=pinned["currency"],
                description=f"{pinned['pack']} credit pack, bought by auto top-up",
                metadata={
                    **accounts.in_metadata(account),
                    "pack": pinned["pack"],
                    "packVersion": str(pinned["packVersion"]),
                    **flow.metadata,
                },
                key=flow.key("charge"),
            )
        except CardDeclined as declined:
            if declined.payment_intent_id is None:
                return Refused(declined.decline_code or declined.code)
            return await payments.retrieve(door, declined.payment_intent_id)
        except StripeRefused as refused:
            return Refused(refused.code)
        except StripeObjectMissing:
            return Refused("resource_missing")

    async def find(self, platform: Platform, flow: FlowView) -> StripePayment | Refused | None:
        try:
            found = await payments.list_of_customer(
                platform.part(StripeDoor), flow.parameters["customerId"], limit=LOOKED_THROUGH
            )
        except (StripeObjectMissing, StripeRefused):
            return None  # a customer that is gone paid nothing
        mine = [one for one in found.items if one.metadata.get("flow") == str(flow.id)]
        return next((one for one in mine if one.status == SUCCEEDED), mine[0] if mine else None)

    async def settle(
        self, session: AsyncSession, platform: Platform, flow: FlowView, found: StripePayment | Refused
    ) -> Response | None:
        await auto_topup.apply(session, platform, flow.id, found)
        return None

    async def give_up(self, session: AsyncSession, platform: Platform, flow: FlowView) -> None:
        await auto_topup.give_up(session, platform, flow.id)


CHARGE: Final = flows.register(Charge())


async def buy_if_low(platform: Platform, account: Account) -> None:
    """Charge for the account's pack, if it is to be bought now. What stays unknown is for the sweep of flows.

    Raises PaymentProviderUnavailable.
    """

    async def begin(session: AsyncSession, flow_id: UUID) -> dict[str, Any]:
        row = await auto_topup.begin(session, platform, account, offer, flow_id)
        return {
            "accountType": row.account_kind,
            "accountId": str(row.account_id),
            "customerId": row.stripe_customer_id,
            "paymentMethodId": row.stripe_payment_method_id,
            "amount": row.amount_minor,
            "currency": row.currency,
            "pack": row.pack,
            "packVersion": row.pack_version,
        }

    try:
        offer = await topup_charges.offer_wanted(platform, account[1])
        await flows.run(
            platform, CHARGE, begin, request_key=None, exclusive=one_at_a_time(account[1]), subject=account[1]
        )
    except ChangeInProgress:
        return
    except NotDue as not_due:
        async with platform.database.transaction() as session:
            await auto_topup.note_why_not(session, platform, account, not_due.why)


class CallOff(FlowKind[StripePayment]):
    """Cancel a payment that waits for its buyer, unless they have paid it meanwhile."""

    name = "billing.call_off_topup"

    async def act(self, platform: Platform, flow: FlowView) -> StripePayment:
        door, payment_id = platform.part(StripeDoor), flow.parameters["paymentIntentId"]
        found = await payments.retrieve(door, payment_id)
        if found.status in ENDED:
            return found
        try:
            return await payments.cancel(door, payment_id, key=flow.key("cancel"))
        except StripeRefused:
            return await payments.retrieve(door, payment_id)

    async def find(self, platform: Platform, flow: FlowView) -> StripePayment | None:
        found = await payments.retrieve(platform.part(StripeDoor), flow.parameters["paymentIntentId"])
        return found if found.status in ENDED else None

    async def settle(
        self, session: AsyncSession, platform: Platform, flow: FlowView, found: StripePayment
    ) -> Response | None:
        await auto_topup.apply(session, platform, UUID(flow.parameters["topUpId"]), found)
        return None


CALL_OFF: Final = flows.register(CallOff())


async def call_off(platform: Platform, row: TopUpPayment) -> None:
    """Cancel a payment whose buyer did not confirm it in time. Raises PaymentProviderUnavailable."""

    async def begin(_session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        return {"topUpId": str(row.id), "paymentIntentId": row.stripe_payment_intent_id}

    try:
        await flows.run(
            platform,
            CALL_OFF,
            begin,
            request_key=None,
            exclusive=one_at_a_time(row.account_id),
            subject=row.account_id,
        )
    except ChangeInProgress:
        return
