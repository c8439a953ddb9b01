"""Changing, canceling and resuming a subscription at Stripe.

Each is known by the state it leads to, so that one whose answer was lost is found by looking.
"""

from abc import abstractmethod
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import flows
from pm_api.core.actor import AccountScope
from pm_api.core.answers import Response
from pm_api.core.flows import ChangeInProgress, FlowKind, FlowView, RequestKey
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts, changes, pictures, subscriptions
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.changes import Change
from pm_api.domains.billing.enums import ChangeKind, SubscriptionStatus
from pm_api.domains.billing.errors import (
    ChangeAwaitsPayment,
    NothingToResume,
    PaymentMethodUnusable,
    QuoteChanged,
    QuoteExpired,
    SubscriptionNotFound,
    SubscriptionRefused,
)
from pm_api.domains.billing.flows.callers import pinned
from pm_api.domains.billing.flows.checkouts import MISUSED_KEY
from pm_api.domains.billing.flows.subscription_answers import answer, record
from pm_api.domains.billing.flows.subscription_debts import cancel_and_void, void_open
from pm_api.domains.billing.models.subscriptions import Subscription
from pm_api.domains.billing.pictures import OVER, SubscriptionPicture
from pm_api.domains.billing.repository import subscriptions as repository
from pm_api.domains.billing.schemas.subscriptions import (
    SubscriptionCancel,
    SubscriptionChange,
    SubscriptionResume,
)
from pm_api.integrations.stripe import (
    CardDeclined,
    PaymentProviderUnavailable,
    StripeDoor,
    StripeObjectMissing,
    StripeRefused,
    StripeSubscription,
    invoices,
    schedules,
)
from pm_api.integrations.stripe import subscriptions as stripe_subscriptions


class _OfSubscription(FlowKind[SubscriptionPicture]):
    """Of one subscription, whose id is pinned. What Stripe refuses is told by its own word for why."""

    async def act(self, platform: Platform, flow: FlowView) -> SubscriptionPicture:
        door = platform.part(StripeDoor)
        try:
            await self.write(door, flow)
        except CardDeclined as declined:
            raise PaymentMethodUnusable("The bank declined this card.") from declined
        except StripeObjectMissing as missing:
            raise SubscriptionNotFound from missing
        except StripeRefused as refused:
            if refused.code == MISUSED_KEY:  # which does not say that nothing was done
                raise
            raise SubscriptionRefused(reason=refused.code) from refused
        return await self.look(door, flow)

    async def find(self, platform: Platform, flow: FlowView) -> SubscriptionPicture | None:
        try:
            picture = await self.look(platform.part(StripeDoor), flow)
        except StripeObjectMissing:
            return None
        return picture if self.is_done(flow, picture.subscription) else None

    async def look(self, door: StripeDoor, flow: FlowView) -> SubscriptionPicture:
        return await pictures.fetch_by_subscription(door, flow.parameters["subscription"])

    @abstractmethod
    async def write(self, door: StripeDoor, flow: FlowView) -> None:
        """Tell Stripe what this flow wants, under the flow's own keys."""

    @abstractmethod
    def is_done(self, flow: FlowView, found: StripeSubscription) -> bool:
        """Whether it stands as this flow wants it."""


# --- another plan ----------------------------------------------------------------------------------------------


class ChangePlan(_OfSubscription):
    """An upgrade whose payment fails waits beside the subscription, which stays as it is."""

    name = "billing.change_subscription"

    async def write(self, door: StripeDoor, flow: FlowView) -> None:
        wanted = flow.parameters
        if wanted["sums"] is not None:
            await _hold_to(door, flow)
        if wanted["kind"] == ChangeKind.DOWNGRADE:
            await schedules.schedule_change(door, wanted["subscription"], wanted["priceId"], key=flow.key("later"))
            return
        await _release(door, flow)
        if wanted.get("undoes"):
            return
        await stripe_subscriptions.change_price(
            door,
            wanted["subscription"],
            wanted["item"],
            wanted["priceId"],
            prorate_at=_moment(wanted["prorateAt"]),
            key=flow.key("price"),
        )

    def is_done(self, flow: FlowView, found: StripeSubscription) -> bool:
        wanted: str = flow.parameters["priceId"]
        if flow.parameters["kind"] == ChangeKind.DOWNGRADE:
            # With the period over, what was scheduled is what it is.
            return wanted == (found.upcoming_price_id or found.price_id)
        # What was scheduled is taken off before anything else is done.
        return found.upcoming_price_id is None and (found.price_id == wanted or found.has_pending_update)

    async def settle(
        self, session: AsyncSession, platform: Platform, flow: FlowView, found: SubscriptionPicture
    ) -> Response:
        await subscriptions.apply_picture(session, platform, found)
        now_is = found.subscription
        is_waiting = now_is.has_pending_update
        record(
            session,
            platform,
            flow,
            "changed",
            now_is.id,
            kind=flow.parameters["kind"],
            price_id=flow.parameters["priceId"],
            waits_for_payment=is_waiting,
        )
        secret = now_is.client_secret if is_waiting else None
        return await answer(session, platform, flow, client_secret=secret)


CHANGE: Final = flows.register(ChangePlan())


async def change(
    platform: Platform,
    scope: AccountScope,
    wanted: SubscriptionChange,
    expected_version: int | None,
    key: RequestKey,
) -> Response:
    """Another plan or interval; with a quote exactly what it says, or QuoteExpired, QuoteChanged, InvalidQuote.

    Raises PreconditionFailed, what `changes.to_change` and `changes.decide` raise, SubscriptionRefused, and what
    flows raise.
    """
    account = accounts.of_scope(scope)

    async def begin(session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        await accounts.lock(session, account)
        row = await changes.to_change(session, account)
        check_version(row.version, expected_version)
        decided = await changes.decide(session, platform, account, row, (wanted.plan, wanted.billing_interval))
        prorate_at, sums = decided.prorate_at, None
        if wanted.quote_id is not None:
            prorate_at, sums = changes.as_quoted(platform, account, decided, wanted.quote_id)
        return _pinned_change(scope, decided, prorate_at, sums)

    return await _run(platform, CHANGE, begin, account, key)


def _pinned_change(
    scope: AccountScope, change: Change, prorate_at: datetime | None, sums: dict[str, Any] | None
) -> dict[str, Any]:
    return pinned(
        scope,
        subscription=change.stripe_subscription_id,
        kind=change.kind,
        item=change.item_id,
        priceId=change.new.price_id,
        schedule=change.schedule_id,
        undoes=change.new.price_id == change.old.price_id,
        prorateAt=prorate_at.isoformat() if prorate_at is not None else None,
        sums=sums,
    )


async def _hold_to(door: StripeDoor, flow: FlowView) -> None:
    """Nothing but what was promised: asked once more before the change. Raises QuoteChanged, QuoteExpired."""
    wanted = flow.parameters
    prorate_at = _moment(wanted["prorateAt"])
    assert prorate_at is not None, "sums are promised where something is prorated"
    try:
        invoice = await invoices.preview_change(
            door, wanted["subscription"], wanted["item"], wanted["priceId"], prorate_at=prorate_at
        )
    except StripeRefused as refused:
        raise QuoteExpired("Stripe does not make this change any more; look at the subscription again.") from refused
    if changes.sums_of(invoice) != wanted["sums"]:
        raise QuoteChanged


# --- ending, and going on --------------------------------------------------------------------------------------


class Cancel(_OfSubscription):
    """What was scheduled for later falls away with it."""

    name = "billing.cancel_subscription"

    async def write(self, door: StripeDoor, flow: FlowView) -> None:
        wanted = flow.parameters
        if wanted["now"]:
            await stripe_subscriptions.cancel_now(door, wanted["subscription"], key=flow.key("cancel"))
            with suppress(StripeRefused):  # it has ended; what cannot be voided now is the job's, which tries again
                await void_open(door, flow, wanted["subscription"])
            return
        await _release(door, flow)
        await stripe_subscriptions.cancel_at_period_end(door, wanted["subscription"], key=flow.key("cancel"))

    def is_done(self, flow: FlowView, found: StripeSubscription) -> bool:
        return found.status in OVER or (not flow.parameters["now"] and found.cancel_at_period_end)

    async def settle(
        self, session: AsyncSession, platform: Platform, flow: FlowView, found: SubscriptionPicture
    ) -> Response:
        await subscriptions.apply_picture(session, platform, found)
        record(session, platform, flow, "canceled", found.subscription.id, at_once=flow.parameters["now"])
        return await answer(session, platform, flow, client_secret=None)


CANCEL: Final = flows.register(Cancel())


async def cancel(
    platform: Platform,
    scope: AccountScope,
    wanted: SubscriptionCancel,
    expected_version: int | None,
    key: RequestKey,
) -> Response:
    """End it with its period, or now; one that was never paid for ends now. Raises SubscriptionNotFound,
    PreconditionFailed, ChangeAwaitsPayment, SubscriptionRefused, and what flows raise.
    """
    account = accounts.of_scope(scope)

    async def begin(session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        row = await _live(session, account, expected_version)
        now = not wanted.at_period_end or row.status == SubscriptionStatus.INCOMPLETE
        if row.has_pending_update and not now:
            raise ChangeAwaitsPayment
        return pinned(scope, subscription=row.stripe_subscription_id, schedule=row.schedule_id, now=now)

    return await _run(platform, CANCEL, begin, account, key)


class Resume(_OfSubscription):
    """It goes on as it is: neither an end nor another plan is ahead of it."""

    name = "billing.resume_subscription"

    async def write(self, door: StripeDoor, flow: FlowView) -> None:
        wanted = flow.parameters
        await _release(door, flow)
        if wanted["ends"]:
            await stripe_subscriptions.resume(
                door, wanted["subscription"], with_period=wanted["endsWithPeriod"], key=flow.key("resume")
            )

    def is_done(self, flow: FlowView, found: StripeSubscription) -> bool:  # noqa: ARG002
        return found.status not in OVER and found.cancel_at is None and found.upcoming_price_id is None

    async def settle(
        self, session: AsyncSession, platform: Platform, flow: FlowView, found: SubscriptionPicture
    ) -> Response:
        await subscriptions.apply_picture(session, platform, found)
        record(session, platform, flow, "resumed", found.subscription.id)
        return await answer(session, platform, flow, client_secret=None)


RESUME: Final = flows.register(Resume())


async def resume(
    platform: Platform,
    scope: AccountScope,
    _wanted: SubscriptionResume,
    expected_version: int | None,
    key: RequestKey,
) -> Response:
    """Undo a cancellation or a scheduled change of plan. Raises SubscriptionNotFound, PreconditionFailed,
    NothingToResume, SubscriptionRefused, and what flows raise.
    """
    account = accounts.of_scope(scope)

    async def begin(session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        row = await _live(session, account, expected_version)
        schedule = row.schedule_id if row.upcoming_price_id is not None else None
        if row.cancel_at is None and schedule is None:
            raise NothingToResume
        return pinned(
            scope,
            subscription=row.stripe_subscription_id,
            schedule=schedule,
            ends=row.cancel_at is not None,
            endsWithPeriod=row.cancel_at_period_end,
        )

    return await _run(platform, RESUME, begin, account, key)


# --- one too many ----------------------------------------------------------------------------------------------


class EndHeld(_OfSubscription):
    """A subscription that gives its account nothing is paid for no longer."""

    name = "billing.end_held_subscription"

    async def write(self, door: StripeDoor, flow: FlowView) -> None:
        await cancel_and_void(door, flow, flow.parameters["subscription"])

    def is_done(self, flow: FlowView, found: StripeSubscription) -> bool:  # noqa: ARG002
        return found.status in OVER

    async def settle(
        self,
        session: AsyncSession,
        platform: Platform,
        flow: FlowView,  # noqa: ARG002
        found: SubscriptionPicture,
    ) -> None:
        await subscriptions.apply_picture(session, platform, found)


END_HELD: Final = flows.register(EndHeld())


async def end_held(platform: Platform, stripe_subscription_id: str, *, for_good: bool = False) -> None:
    """End a subscription at Stripe, if by what Stripe says now it has no right to live still, or `for_good` in any
    case. Raises what flows raise.
    """
    picture = await pictures.fetch_by_subscription(platform.part(StripeDoor), stripe_subscription_id)
    async with platform.database.transaction() as session:
        await subscriptions.apply_picture(session, platform, picture)
        row = await repository.by_stripe_id(session, subscriptions.SCOPE, stripe_subscription_id)
        is_wanted = row is not None and (for_good or await subscriptions.must_end(session, platform, row, picture))
    if not is_wanted or picture.subscription.status in OVER:
        return

    async def begin(_session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        return {"subscription": stripe_subscription_id}

    word = f"end-held:{stripe_subscription_id}"
    try:
        await flows.run(platform, END_HELD, begin, request_key=None, exclusive=word)
    except ChangeInProgress as unknown:  # an earlier try, of which Stripe has not told yet
        raise PaymentProviderUnavailable from unknown


async def _release(door: StripeDoor, flow: FlowView) -> None:
    """Take the schedule off, if there is one; it may have let go by itself since."""
    stripe_id, schedule_id = flow.parameters["subscription"], flow.parameters["schedule"]
    if schedule_id is None:
        return
    try:
        await schedules.undo_change(door, stripe_id, schedule_id, key=flow.key("undo"))
    except StripeRefused:
        if (await stripe_subscriptions.retrieve(door, stripe_id)).schedule_id is not None:
            raise


async def _live(session: AsyncSession, account: Account, expected_version: int | None) -> Subscription:
    await accounts.lock(session, account)
    row = await subscriptions.live_of(session, account)
    if row is None:
        raise SubscriptionNotFound
    check_version(row.version, expected_version)
    return row


async def _run(
    platform: Platform, kind: FlowKind[Any], begin: flows.Begin, account: Account, key: RequestKey
) -> Response:
    word = accounts.one_change_at_a_time(account)
    return await flows.run(platform, kind, begin, request_key=key, exclusive=word, subject=account[1])


def _moment(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)
