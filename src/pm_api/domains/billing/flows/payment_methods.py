"""Taking, changing and removing payment methods at Stripe.

Each of these writes is known by the state it leads to, so that one whose answer was lost is found by looking.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import flows
from pm_api.core.actor import AccountScope
from pm_api.core.answers import Response, answer_with, no_content
from pm_api.core.flows import FlowKind, FlowView, RequestKey
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts, payment_methods
from pm_api.domains.billing.errors import InvalidCardExpiry, PaymentMethodUnusable
from pm_api.domains.billing.flows.callers import account_of, actor_of, pinned
from pm_api.domains.billing.models.payment_methods import PaymentMethod
from pm_api.domains.billing.repository import payment_methods as repository
from pm_api.domains.billing.schemas.payment_methods import (
    PaymentMethodAnswer,
    PaymentMethodAttach,
    PaymentMethodUpdate,
    SetupIntentAnswer,
    SetupIntentRead,
)
from pm_api.domains.billing.wallets import CustomerPicture, fetch_by_customer
from pm_api.domains.payments import customers as our_customers
from pm_api.entitlements.enums import AccountType
from pm_api.identity import audit
from pm_api.integrations.stripe import (
    CardDeclined,
    StripeDoor,
    StripeObjectMissing,
    StripeRefused,
    StripeSetupIntent,
    StripeSubscription,
    customers,
    schedules,
    subscriptions,
)
from pm_api.integrations.stripe import payment_methods as stripe_methods

ADDRESS: Final = "/api/billing/payment-methods"
EXPIRY_CODES: Final = "invalid_expiry"


def _of_one(payment_method_id: UUID | str) -> str:
    """Two changes of one payment method do not overtake each other."""
    return f"payment_method:{payment_method_id}"


def _record(
    session: AsyncSession, platform: Platform, flow: FlowView, action: str, stripe_payment_method_id: str
) -> None:
    kind, account_id = account_of(flow)
    audit.record(
        session,
        platform,
        actor_of(flow),
        f"billing.payment_method_{action}",
        subject=("payment_method", stripe_payment_method_id),
        workspace_id=account_id if kind is AccountType.WORKSPACE else None,
    )


async def _mirrored(
    session: AsyncSession, platform: Platform, flow: FlowView, picture: CustomerPicture
) -> PaymentMethod | None:
    await payment_methods.mirror_customer(session, platform, account_of(flow), picture)
    return await repository.by_stripe_id(session, payment_methods.MIRROR, flow.parameters["paymentMethodId"])


# --- setup intents ---------------------------------------------------------------------------------------------


class MakeSetupIntent(FlowKind[StripeSetupIntent]):
    """One that nobody uses does no harm: it is not looked for, and a repeated request makes another."""

    name = "billing.setup_intent"

    async def act(self, platform: Platform, flow: FlowView) -> StripeSetupIntent:
        try:
            return await stripe_methods.create_setup_intent(
                platform.part(StripeDoor),
                flow.parameters["customerId"],
                metadata={**accounts.in_metadata(account_of(flow)), **flow.metadata},
                key=flow.key("setup_intent"),
            )
        except (StripeRefused, StripeObjectMissing) as refused:
            raise PaymentMethodUnusable("Stripe takes no payment methods for this account.") from refused

    async def find(self, platform: Platform, flow: FlowView) -> StripeSetupIntent | None:  # noqa: ARG002
        return None

    async def settle(
        self,
        session: AsyncSession,  # noqa: ARG002
        platform: Platform,  # noqa: ARG002
        flow: FlowView,  # noqa: ARG002
        found: StripeSetupIntent,
    ) -> Response:
        shown = SetupIntentRead(id=found.id, client_secret=found.client_secret or "", status=found.status)
        return answer_with(SetupIntentAnswer(setup_intent=shown), status=201, location=ADDRESS)


MAKE_SETUP_INTENT: Final = flows.register(MakeSetupIntent())


async def make_setup_intent(platform: Platform, scope: AccountScope, key: RequestKey | None) -> Response:
    """What a browser needs to ask for a payment method."""
    account = accounts.of_scope(scope)
    customer_id = await our_customers.ensure(platform, *account)

    async def begin(_session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        return pinned(scope, customerId=customer_id)

    return await flows.run(platform, MAKE_SETUP_INTENT, begin, request_key=key, subject=account[1])


# --- attaching -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _State:
    """How a customer stands towards what a flow wants of one payment method. `pays_all`: it is the customer's own
    default, and no subscription is paid with another.
    """

    picture: CustomerPicture
    is_attached: bool
    is_default: bool
    pays_all: bool


async def _look(platform: Platform, flow: FlowView) -> _State:
    picture = await fetch_by_customer(platform.part(StripeDoor), flow.parameters["customerId"])
    method_id = flow.parameters["paymentMethodId"]
    return _State(
        picture,
        is_attached=picture.method(method_id) is not None,
        is_default=picture.default_id == method_id,
        pays_all=picture.customer.default_payment_method_id == method_id and not picture.paid_otherwise(method_id),
    )


async def _make_default(door: StripeDoor, flow: FlowView, method_id: str, of: Sequence[StripeSubscription]) -> None:
    """Of the customer, and of subscriptions, which have defaults of their own that count before the customer's."""
    await customers.set_default_payment_method(
        door, flow.parameters["customerId"], method_id, key=flow.key(f"default:{method_id}")
    )
    for one in of:
        if one.schedule_id is not None:  # before the subscription, whose default tells that all was done
            key = flow.key(f"default:{one.schedule_id}:{method_id}")
            await schedules.set_default_payment_method(door, one.schedule_id, method_id, key=key)
        key = flow.key(f"default:{one.id}:{method_id}")
        await subscriptions.set_default_payment_method(door, one.id, method_id, key=key)


class Attach(FlowKind[CustomerPicture]):
    """Keep a payment method on the account's customer; the first one becomes the default."""

    name = "billing.attach_payment_method"

    async def act(self, platform: Platform, flow: FlowView) -> CustomerPicture:
        door, method_id = platform.part(StripeDoor), flow.parameters["paymentMethodId"]
        customer_id = flow.parameters["customerId"]
        try:
            method = await stripe_methods.retrieve(door, method_id)
            if method.id != method_id:  # stands for a new one each time, which could not be found again
                raise PaymentMethodUnusable("This is no payment method, but a word that makes one of it.")
            if method.customer_id is None:
                await stripe_methods.attach(door, method_id, customer_id, key=flow.key("attach"))
            elif method.customer_id != customer_id:
                raise PaymentMethodUnusable
            state = await _look(platform, flow)
            if not _is_as_wanted(flow, state):
                await _make_default(door, flow, method_id, state.picture.paid_otherwise(method_id))
                state = await _look(platform, flow)
        except CardDeclined as declined:
            raise PaymentMethodUnusable("The bank declined this card.") from declined
        except (StripeRefused, StripeObjectMissing) as refused:
            raise PaymentMethodUnusable from refused
        return state.picture

    async def find(self, platform: Platform, flow: FlowView) -> CustomerPicture | None:
        state = await _look(platform, flow)
        return state.picture if _is_as_wanted(flow, state) else None

    async def settle(
        self, session: AsyncSession, platform: Platform, flow: FlowView, found: CustomerPicture
    ) -> Response:
        row = await _mirrored(session, platform, flow, found)
        if row is None or row.detached_at is not None:  # taken away again before we wrote it down
            raise PaymentMethodUnusable
        _record(session, platform, flow, "added", row.stripe_payment_method_id)
        shown = payment_methods.read(row)
        return answer_with(
            PaymentMethodAnswer(payment_method=shown),
            status=201,
            location=f"{ADDRESS}/{row.id}",
            version=row.version,
        )


def _is_as_wanted(flow: FlowView, state: _State) -> bool:
    if flow.parameters["setDefault"]:
        return state.is_attached and state.pays_all
    return state.is_attached and state.picture.default_id is not None


ATTACH: Final = flows.register(Attach())


async def attach(
    platform: Platform, scope: AccountScope, wanted: PaymentMethodAttach, key: RequestKey | None
) -> Response:
    """Add a payment method that a setup intent of this account took. Raises PaymentMethodUnusable, and what flows
    raise.
    """
    account = accounts.of_scope(scope)
    customer_id = await our_customers.ensure(platform, *account)

    async def begin(session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        await accounts.lock(session, account)
        return pinned(
            scope, customerId=customer_id, paymentMethodId=wanted.payment_method_id, setDefault=wanted.set_default
        )

    exclusive = _of_one(wanted.payment_method_id)
    return await flows.run(platform, ATTACH, begin, request_key=key, exclusive=exclusive, subject=account[1])


# --- changing --------------------------------------------------------------------------------------------------


class Change(FlowKind[CustomerPicture]):
    """Make it the default, and give a card its new date."""

    name = "billing.change_payment_method"

    async def act(self, platform: Platform, flow: FlowView) -> CustomerPicture:
        door, wanted = platform.part(StripeDoor), flow.parameters
        method_id = wanted["paymentMethodId"]
        try:
            if wanted["expMonth"] is not None or wanted["expYear"] is not None:
                await stripe_methods.update_expiry(
                    door,
                    method_id,
                    exp_month=wanted["expMonth"],
                    exp_year=wanted["expYear"],
                    key=flow.key("expiry"),
                )
            if wanted["isDefault"]:
                state = await _look(platform, flow)
                await _make_default(door, flow, method_id, state.picture.paid_otherwise(method_id))
        except CardDeclined as declined:
            if declined.code.startswith(EXPIRY_CODES):
                raise InvalidCardExpiry from declined
            raise PaymentMethodUnusable("The bank declined this change.") from declined
        except StripeRefused as refused:
            is_expiry = (refused.parameter or "").startswith(("card", "exp_"))
            raise (InvalidCardExpiry if is_expiry else PaymentMethodUnusable) from refused
        except StripeObjectMissing as missing:
            raise PaymentMethodUnusable from missing
        return (await _look(platform, flow)).picture

    async def find(self, platform: Platform, flow: FlowView) -> CustomerPicture | None:
        state, wanted = await _look(platform, flow), flow.parameters
        method = state.picture.method(wanted["paymentMethodId"])
        if method is None or (wanted["isDefault"] and not state.pays_all):
            return None
        if wanted["expMonth"] not in (None, method.exp_month) or wanted["expYear"] not in (None, method.exp_year):
            return None
        return state.picture

    async def settle(
        self, session: AsyncSession, platform: Platform, flow: FlowView, found: CustomerPicture
    ) -> Response:
        row = await _mirrored(session, platform, flow, found)
        if row is None or row.detached_at is not None:
            raise PaymentMethodUnusable
        _record(session, platform, flow, "changed", row.stripe_payment_method_id)
        return _shown(row)


def _shown(row: PaymentMethod) -> Response:
    return answer_with(PaymentMethodAnswer(payment_method=payment_methods.read(row)), version=row.version)


CHANGE: Final = flows.register(Change())


async def change(
    platform: Platform,
    scope: AccountScope,
    payment_method_id: UUID,
    wanted: PaymentMethodUpdate,
    expected_version: int | None,
) -> Response:
    """Change what was sent of a payment method. Raises NotFound, PreconditionFailed, InvalidCardExpiry,
    PaymentMethodUnusable, ChangeInProgress, PaymentProviderUnavailable.
    """
    sent = wanted.model_fields_set
    if not sent:
        async with platform.database.transaction() as session:
            found = await payment_methods.to_change(session, scope, payment_method_id, expected_version)
        return _shown(found)

    async def begin(session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        found = await payment_methods.to_change(session, scope, payment_method_id, expected_version)
        return pinned(
            scope,
            customerId=found.stripe_customer_id,
            paymentMethodId=found.stripe_payment_method_id,
            isDefault="is_default" in sent,
            expMonth=wanted.exp_month if "exp_month" in sent else None,
            expYear=wanted.exp_year if "exp_year" in sent else None,
        )

    exclusive, account_id = _of_one(payment_method_id), accounts.of_scope(scope)[1]
    return await flows.run(platform, CHANGE, begin, request_key=None, exclusive=exclusive, subject=account_id)


# --- removing --------------------------------------------------------------------------------------------------


class Remove(FlowKind[CustomerPicture]):
    """Take it from the customer for good; before that, the default moves on to the newest of the others."""

    name = "billing.remove_payment_method"

    async def act(self, platform: Platform, flow: FlowView) -> CustomerPicture:
        door, method_id = platform.part(StripeDoor), flow.parameters["paymentMethodId"]
        state = await _look(platform, flow)
        if not state.is_attached:
            return state.picture
        try:
            await _pass_on(door, flow, state)
            await stripe_methods.detach(door, method_id, key=flow.key("detach"))
        except (StripeRefused, StripeObjectMissing) as refused:
            state = await _look(platform, flow)
            if state.is_attached:
                raise PaymentMethodUnusable("Stripe does not let this payment method go.") from refused
            return state.picture
        return (await _look(platform, flow)).picture

    async def find(self, platform: Platform, flow: FlowView) -> CustomerPicture | None:
        state = await _look(platform, flow)
        return None if state.is_attached else state.picture

    async def settle(
        self, session: AsyncSession, platform: Platform, flow: FlowView, found: CustomerPicture
    ) -> Response:
        await _mirrored(session, platform, flow, found)
        _record(session, platform, flow, "removed", flow.parameters["paymentMethodId"])
        return no_content()


async def _pass_on(door: StripeDoor, flow: FlowView, state: _State) -> None:
    """The customer's default moves on to the newest of the others, and what was paid with it is paid with that."""
    picture, method_id = state.picture, flow.parameters["paymentMethodId"]
    heir = None if state.is_default else picture.default_id
    heir = heir or next((one.id for one in picture.methods if one.id != method_id), None)
    if heir is None:
        return
    paid_with_it = [one for one in picture.subscriptions if one.default_payment_method_id == method_id]
    if state.is_default or paid_with_it:
        await _make_default(door, flow, heir, paid_with_it)


REMOVE: Final = flows.register(Remove())


async def remove(
    platform: Platform, scope: AccountScope, payment_method_id: UUID, expected_version: int | None
) -> Response:
    """Remove a payment method. Raises NotFound, PreconditionFailed, LastPaymentMethod, PaymentMethodUnusable,
    ChangeInProgress, PaymentProviderUnavailable.

    Excludes changes of the account's subscription: neither may one begin while its last payment method goes, nor may
    the last two go at once.
    """

    async def begin(session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        found = await payment_methods.to_remove(session, scope, payment_method_id, expected_version)
        return pinned(scope, customerId=found.stripe_customer_id, paymentMethodId=found.stripe_payment_method_id)

    account = accounts.of_scope(scope)
    exclusive = accounts.one_change_at_a_time(account)
    return await flows.run(platform, REMOVE, begin, request_key=None, exclusive=exclusive, subject=account[1])
