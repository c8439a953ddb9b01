"""Automatic purchases: what is to be charged is written down first, and one function writes down how it ended.

`apply` is called by the flow that charged, by Stripe's events and by the sweep of flows, in any order and as often
as they like: a payment's row goes PENDING → ACTION_REQUIRED → SUCCEEDED | FAILED | CANCELED, each step is taken once,
and the credits have a permanent key of their own. Locks: the account, the credit account, the row.
"""

from dataclasses import dataclass
from datetime import UTC, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, SystemScope
from pm_api.core.errors import NotFound
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import purchases, topup_charges, topups
from pm_api.domains.ai_credits.catalogue import Offer
from pm_api.domains.ai_credits.purchases import Purchase, Till
from pm_api.domains.ai_credits.topup_charges import NotDue, Why
from pm_api.domains.ai_credits.topups import State
from pm_api.domains.billing import accounts, invoices, payment_methods
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.enums import TopUpStatus
from pm_api.domains.billing.errors import NothingToConfirm
from pm_api.domains.billing.models.payment_methods import TopUpPayment
from pm_api.domains.billing.repository import auto_topup as repository
from pm_api.domains.billing.schemas.auto_topup import Confirmation, TopUpRead, TopUpsAnswer
from pm_api.domains.billing.telling import money
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import StripeDoor, StripePayment, payments

LISTED: Final = "top_ups"
LINK: Final = "/credits"
CONFIRM_WITHIN: Final = timedelta(hours=24)
SYSTEM: Final = SystemScope("automatic top-up")

AUTHENTICATION: Final = "authentication_required"
CANCELED: Final = "canceled"
ASKS: Final = frozenset({"requires_action", "requires_confirmation"})
OVER: Final = (TopUpStatus.SUCCEEDED, TopUpStatus.CANCELED)


class TopUpMismatch(Exception):
    """A payment at Stripe names a purchase that is not ours, or that another payment has paid."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Stripe made no payment at all: its word for why."""

    code: str


def account_of(row: TopUpPayment) -> Account:
    return AccountType(row.account_kind), row.account_id


# --- the intent ------------------------------------------------------------------------------------------------


async def begin(
    session: AsyncSession, platform: Platform, account: Account, offer: Offer, flow_id: UUID
) -> TopUpPayment:
    """Reserve the price and pin what is to be charged, and to what; raises NotDue."""
    reserved = await topup_charges.reserve(session, platform, accounts.credit_kind(account), account[1], offer)
    if await repository.open_payment(session, SYSTEM, account[1]) is not None:
        raise NotDue(Why.WAITING)
    method = await payment_methods.to_charge(session, account[1])
    if method is None:
        raise NotDue(Why.NOTHING_TO_CHARGE)
    now = platform.clock.now()
    row = TopUpPayment(
        id=flow_id,
        account_kind=account[0],
        account_id=account[1],
        pack=reserved.pack,
        pack_version=reserved.pack_version,
        amount_minor=reserved.amount_minor,
        currency=reserved.currency,
        month=reserved.month,
        is_counted=True,
        stripe_customer_id=method.stripe_customer_id,
        stripe_payment_method_id=method.stripe_payment_method_id,
        status=TopUpStatus.PENDING,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    return row


async def note_why_not(session: AsyncSession, platform: Platform, account: Account, why: Why) -> None:
    """What its people should know of: that the month's cap is reached, or that the pack is gone; once a month."""
    month = topups.month_of(platform.clock.now())
    if why is Why.CAP_REACHED:
        await _tell(
            session,
            platform,
            account,
            type="billing.topup_cap_reached",
            key=f"topup-cap:{account[1]}:{month}",
            title="Auto top-up has reached this month's cap",
            body="Credits are below your threshold, and one more pack would pass the cap. Raise it, or buy a pack.",
        )
    elif why is Why.NOT_ON_OFFER:
        await _tell(
            session,
            platform,
            account,
            type="billing.topup_stopped",
            key=f"topup-offer:{account[1]}:{month}",
            title="Auto top-up cannot buy its pack",
            body="The pack it was to buy is not on offer any more. Choose another one.",
        )


# --- how it ended ----------------------------------------------------------------------------------------------


async def apply(session: AsyncSession, platform: Platform, payment_id: UUID, came: StripePayment | Refused) -> str:
    """Take the step that Stripe's payment shows, if it was not taken before; returns what was done.

    Raises TopUpMismatch, and UnknownPack or PurchaseRefused of the ledger: the caller rolls back.
    """
    row = await _locked(session, payment_id)
    if row is None:
        raise TopUpMismatch(f"no purchase {payment_id} is known")
    if isinstance(came, Refused):
        return await _fail(session, platform, row, came.code)
    if row.stripe_payment_intent_id is None:
        row.stripe_payment_intent_id = came.id
    elif row.stripe_payment_intent_id != came.id:
        raise TopUpMismatch(f"purchase {payment_id} belongs to {row.stripe_payment_intent_id}")
    if came.status == "succeeded":
        return await _succeed(session, platform, row, came)
    if came.status == CANCELED:
        return await call_off(session, platform, row)
    if came.status in ASKS or came.error_code == AUTHENTICATION:
        return await _ask(session, platform, row)
    if came.status == "requires_payment_method" and came.error_code is not None:
        return await _fail(session, platform, row, came.decline_code or came.error_code)
    return f"nothing to do: the payment is {came.status}"


async def give_up(session: AsyncSession, platform: Platform, payment_id: UUID) -> None:
    """Nothing was charged, and nothing will be."""
    row = await _locked(session, payment_id)
    if row is not None:
        await call_off(session, platform, row)


async def call_off(session: AsyncSession, platform: Platform, row: TopUpPayment) -> str:
    """The purchase ended without a payment: its price no longer counts. The row must be locked."""
    if row.status in (*OVER, TopUpStatus.FAILED):
        return "nothing has changed"
    await _step(session, platform, row, TopUpStatus.CANCELED)
    await _count(session, platform, row, counted=False)
    return "called off"


async def _succeed(session: AsyncSession, platform: Platform, row: TopUpPayment, paid: StripePayment) -> str:
    bill = await invoices.charged(
        session,
        platform,
        account_of(row),
        paid,
        f"{row.pack} credit pack, bought by auto top-up",
        looked_at=platform.clock.wall(),
    )
    if row.status == TopUpStatus.SUCCEEDED:
        return "granted before"
    await _count(session, platform, row, counted=True)
    await topups.change_state(session, platform, row.account_id, topups.after_success)
    await _step(session, platform, row, TopUpStatus.SUCCEEDED)
    credits = await purchases.grant_purchase(
        session,
        platform,
        Purchase(
            account_kind=row.account_kind,
            account_id=row.account_id,
            pack=row.pack,
            pack_version=row.pack_version,
            reference=paid.id,
            cost_minor=paid.amount_received,
            cost_currency=paid.currency,
            till=Till.PAYMENT,
        ),
    )
    await _tell(
        session,
        platform,
        account_of(row),
        type="billing.topup_bought",
        key=f"topup:{row.id}:bought",
        title=f"{row.pack} was bought by auto top-up",
        body=f"{credits} credits for {money(paid.amount_received, paid.currency)} came to your balance.",
        data={
            "topUpId": str(row.id),
            "invoiceId": str(bill.id),
            "pack": row.pack,
            "credits": credits,
            "amount": paid.amount_received,
            "currency": paid.currency,
        },
    )
    return f"granted {credits} credits"


async def _fail(session: AsyncSession, platform: Platform, row: TopUpPayment, code: str) -> str:
    """Declined for good. While the buyer is at it, a further refusal of the bank is not our failure."""
    if row.status != TopUpStatus.PENDING:
        return "nothing has changed"
    await _step(session, platform, row, TopUpStatus.FAILED, code)
    await _count(session, platform, row, counted=False)
    state = await _failed(session, platform, row, topups.CARD_DECLINED)
    again = (
        "After four declines in a row nothing is tried any more: add another card."
        if state is None or state.disarmed_reason is not None
        else f"It is tried again on {state.next_attempt_at:%Y-%m-%d at %H:%M} UTC."
    )
    await _tell(
        session,
        platform,
        account_of(row),
        type="billing.topup_declined",
        key=f"topup:{row.id}:declined",
        title="Auto top-up could not buy credits",
        body=f"The payment of {money(row.amount_minor, row.currency)} was declined. {again}",
        data={"topUpId": str(row.id), "code": code},
    )
    return f"declined: {code}"


async def _ask(session: AsyncSession, platform: Platform, row: TopUpPayment) -> str:
    """The bank wants the buyer. The price stays reserved while they may still pay."""
    if row.status != TopUpStatus.PENDING:
        return "nothing has changed"
    state = await _failed(session, platform, row, AUTHENTICATION)
    now = platform.clock.now()
    next_attempt = state.next_attempt_at if state is not None else None
    row.act_by = min(next_attempt or now + CONFIRM_WITHIN, now + CONFIRM_WITHIN)
    await _step(session, platform, row, TopUpStatus.ACTION_REQUIRED, AUTHENTICATION)
    await _tell(
        session,
        platform,
        account_of(row),
        type="billing.topup_confirmation",
        key=f"topup:{row.id}:confirm",
        title="Your bank wants you to confirm a top-up",
        body=f"Confirm the payment of {money(row.amount_minor, row.currency)} by {row.act_by:%Y-%m-%d %H:%M} UTC.",
        data={"topUpId": str(row.id)},
        link=f"{LINK}/top-ups/{row.id}",
    )
    return "waits for the cardholder"


async def _locked(session: AsyncSession, payment_id: UUID) -> TopUpPayment | None:
    row = await repository.payment(session, SYSTEM, payment_id)
    if row is None:
        return None
    await accounts.lock(session, account_of(row), gone_too=True)
    return await repository.payment(session, SYSTEM, payment_id)


async def _step(
    session: AsyncSession, platform: Platform, row: TopUpPayment, status: TopUpStatus, code: str | None = None
) -> None:
    now = platform.clock.now()
    row.status = status
    row.failure_code = code
    if status is not TopUpStatus.ACTION_REQUIRED:
        row.ended_at, row.act_by = now, None
    row.version += 1
    row.updated_at = now
    await session.flush()


async def _count(session: AsyncSession, platform: Platform, row: TopUpPayment, *, counted: bool) -> None:
    """Whether the price counts towards its month's cap; money that was taken always does."""
    if row.is_counted is counted:
        return
    row.is_counted = counted
    rule = topups.count if counted else topups.uncount
    change = partial(rule, price_minor=row.amount_minor, month=row.month)
    await topups.change_state(session, platform, row.account_id, change)


async def _failed(session: AsyncSession, platform: Platform, row: TopUpPayment, reason: str) -> State | None:
    change = partial(topups.after_failure, now=platform.clock.now().astimezone(UTC), reason=reason)
    return await topups.change_state(session, platform, row.account_id, change)


async def _tell(
    session: AsyncSession,
    platform: Platform,
    account: Account,
    *,
    type: str,
    key: str,
    title: str,
    body: str,
    data: dict[str, Any] | None = None,
    link: str = LINK,
) -> None:
    is_workspace = account[0] is AccountType.WORKSPACE
    await notifications.notify(
        session,
        platform,
        user_ids=await topup_charges.who_decides(session, accounts.credit_kind(account), account[1]),
        category=Category.BILLING,
        type=type,
        dedup_key=key,
        title=title,
        body=body,
        reason="You manage this workspace's credits." if is_workspace else "They are your credits.",
        data={**accounts.in_metadata(account), **(data or {})},
        link=link,
        workspace_id=account[1] if is_workspace else None,
    )


# --- reading ---------------------------------------------------------------------------------------------------


async def list_of(session: AsyncSession, platform: Platform, scope: AccountScope, page: PageRequest) -> TopUpsAnswer:
    """A page of an account's automatic purchases, newest first."""
    account_id = accounts.of_scope(scope)[1]
    key = platform.cursors.decode(page.cursor, of=LISTED, account=account_id)
    rows = await repository.payments_of(session, scope, limit=page.limit + 1, before=UUID(key[0]) if key else None)
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return TopUpsAnswer(
        top_ups=[_read(row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, account=account_id),
    )


async def get(session: AsyncSession, scope: AccountScope, payment_id: UUID) -> TopUpRead:
    """One automatic purchase; raises NotFound."""
    row = await repository.payment_of(session, scope, payment_id)
    if row is None:
        raise NotFound
    return _read(row)


async def confirmation(platform: Platform, scope: AccountScope, payment_id: UUID) -> Confirmation:
    """What the buyer's browser needs to confirm a payment: asked of Stripe, and kept nowhere.

    Raises NotFound, NothingToConfirm, StripeObjectMissing or PaymentProviderUnavailable.
    """
    async with platform.database.reading() as session:
        row = await repository.payment_of(session, scope, payment_id)
    if row is None:
        raise NotFound
    if row.status != TopUpStatus.ACTION_REQUIRED or row.stripe_payment_intent_id is None:
        raise NothingToConfirm
    found = await payments.retrieve(platform.part(StripeDoor), row.stripe_payment_intent_id)
    if found.client_secret is None or found.status in ("succeeded", CANCELED):
        raise NothingToConfirm
    return Confirmation(
        client_secret=found.client_secret,
        stripe_payment_method_id=row.stripe_payment_method_id,
        act_by=row.act_by,
    )


def _read(row: TopUpPayment) -> TopUpRead:
    return TopUpRead(
        id=row.id,
        account_type=AccountType(row.account_kind),
        account_id=row.account_id,
        status=TopUpStatus(row.status),
        pack=row.pack,
        amount=row.amount_minor,
        currency=row.currency,
        failure_code=row.failure_code,
        act_by=row.act_by,
        stripe_payment_intent_id=row.stripe_payment_intent_id,
        stripe_payment_method_id=row.stripe_payment_method_id,
        created_at=row.created_at,
        ended_at=row.ended_at,
        version=row.version,
    )
