"""What ends at Stripe when a person goes: pages and subscriptions first, then the customers themselves.

The customer object is deleted, not blanked: with it go name, address, cards and the portal, and Stripe ends what is
left of its subscriptions. Invoices and payments stay in Stripe's books and in ours, as the law of accounts wants;
refunds of them still work. A workspace that goes on gets another owner's address on its bills.
"""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.personal import Leaving, Obstacle, ends, hands_out, keeps_back, obstructs
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts, contracts
from pm_api.domains.billing.enums import TopUpStatus
from pm_api.domains.billing.flows.auto_topup import call_off
from pm_api.domains.billing.flows.checkouts import close_pages
from pm_api.domains.billing.flows.subscription_changes import end_held
from pm_api.domains.billing.models.contracts import Contract
from pm_api.domains.billing.models.invoices import Invoice, InvoiceLine
from pm_api.domains.billing.models.payment_methods import PaymentMethod, TopUpPayment
from pm_api.domains.billing.models.reconciliation import ReconciliationFinding
from pm_api.domains.billing.models.refunds import Dispute, Refund
from pm_api.domains.billing.models.subscriptions import Subscription, TrialClaim
from pm_api.domains.billing.models.usage_records import Dunning, UsageRecord
from pm_api.domains.billing.repository import auto_topup as topup_rows
from pm_api.domains.billing.repository import closing as repository
from pm_api.domains.billing.repository import subscriptions as subscription_rows
from pm_api.domains.payments import closing as till
from pm_api.entitlements.enums import AccountType

SCOPE: Final = SystemScope("an account is closed")
OPEN_DISPUTE: Final = "open_dispute"


@obstructs("billing")
async def disputed(session: AsyncSession, _user_id: UUID, account_ids: Collection[UUID]) -> Sequence[Obstacle]:
    """Money that a bank has not decided about yet."""
    return [
        Obstacle(
            OPEN_DISPUTE,
            "A payment is disputed and your bank has not decided yet. Wait for its word, or withdraw the dispute.",
            {"disputeId": str(dispute_id), "accountId": str(account_id)},
        )
        for dispute_id, account_id in await repository.open_disputes(session, SCOPE, account_ids)
    ]


def accounts_of(leaving: Leaving) -> list[accounts.Account]:
    return [
        (AccountType.USER, leaving.user_id),
        *((AccountType.WORKSPACE, one) for one in leaving.closed),
    ]


async def ids_at_stripe(session: AsyncSession, account_ids: Collection[UUID]) -> list[str]:
    """Of these accounts' customers, and of what Stripe may speak of without naming a customer."""
    return [*await till.customer_ids(session, account_ids), *await repository.ids(session, SCOPE, account_ids)]


async def stop_buying(platform: Platform, account: accounts.Account, *, for_good: bool = False) -> None:
    """Nothing can be paid any more for a workspace that is deleted, or, `for_good`, for whoever goes: open pages are
    closed, and an automatic payment that waits for its bank is called off. Raises what flows raise while Stripe is
    away.
    """
    await close_pages(platform, account, for_good=for_good)
    async with platform.database.transaction() as session:
        is_gone = for_good or await accounts.is_deleted(session, account)
        waiting = await topup_rows.open_payment(session, SCOPE, account[1])
    if is_gone and waiting is not None and waiting.status == TopUpStatus.ACTION_REQUIRED:
        await call_off(platform, waiting)


async def end_account(platform: Platform, account: accounts.Account) -> None:
    """What could still be paid for, the subscription and the contract of an account that is gone; what has ended is
    left so. Raises what flows raise while Stripe is away.
    """
    await stop_buying(platform, account, for_good=True)
    async with platform.database.reading() as session:
        living = [one.stripe_subscription_id for one in await subscription_rows.living(session, account[1])]
    for stripe_id in living:
        await end_held(platform, stripe_id, for_good=True)
    async with platform.database.transaction() as session:
        await contracts.close(session, platform, account)


async def forget_account(platform: Platform, account: accounts.Account) -> None:
    """Its customer at Stripe. Raises PaymentProviderUnavailable."""
    await till.delete_customers(platform, account)


@ends("billing", order=20, again=True)
async def end_what_is_bought(platform: Platform, leaving: Leaving) -> None:
    for account in accounts_of(leaving):
        await end_account(platform, account)


@ends("payments", order=40)
async def forget_at_stripe(platform: Platform, leaving: Leaving) -> None:
    for account in accounts_of(leaving):
        await forget_account(platform, account)
    for address in leaving.addresses:
        await till.readdress(platform, address, [(AccountType.WORKSPACE, one) for one in leaving.left])


# --- what is handed out -----------------------------------------------------------------------------------------

hands_out(Subscription, "billing/subscriptions.json", "Your subscriptions.", of="account_id")
hands_out(Invoice, "billing/invoices.json", "Your invoices.", without={"hosted_url"})
hands_out(InvoiceLine, "billing/invoice-lines.json", "What your invoices asked money for.")
hands_out(PaymentMethod, "billing/payment-methods.json", "What you pay with, as far as we know it.")
hands_out(TopUpPayment, "billing/topups.json", "Automatic purchases of credits.")
hands_out(Refund, "billing/refunds.json", "Money that went back.", without={"requested_by"})
hands_out(Dispute, "billing/disputes.json", "Payments that were disputed.")
hands_out(Contract, "billing/contracts.json", "What was agreed upon with you.")
keeps_back(ReconciliationFinding, "the operator's comparisons with Stripe")
hands_out(UsageRecord, "billing/usage.json", "The most you used of each metric, day by day.")
hands_out(TrialClaim, "billing/trials.json", "The trial you took.")
hands_out(Dunning, "billing/reminders.json", "Reminders to pay.")
