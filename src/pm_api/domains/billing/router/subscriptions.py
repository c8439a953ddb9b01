"""Routes that begin, change and end a subscription."""

from typing import Annotated

from fastapi import Depends, Response

from pm_api.core.actor import AccountScope
from pm_api.core.errors import PreconditionFailed
from pm_api.core.flows import FLOW_PROBLEMS, ChangeInProgress, RequestKey, flow_key
from pm_api.core.http import InvalidIfMatch, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.ai_credits.pools import version_in
from pm_api.domains.billing import accounts, changes
from pm_api.domains.billing.errors import (
    BankDeclined,
    ChangeAwaitsPayment,
    ContactSales,
    InvalidQuote,
    NothingToResume,
    PaymentMethodUnusable,
    PlanNotForAccount,
    PlanNotOnSale,
    PlanUnchanged,
    PromotionCodeInvalid,
    QuoteChanged,
    QuoteExpired,
    SubscriptionEnding,
    SubscriptionExists,
    SubscriptionIncomplete,
    SubscriptionNotChangeable,
    SubscriptionNotFound,
    SubscriptionRefused,
)
from pm_api.domains.billing.flows import subscription_changes
from pm_api.domains.billing.flows import subscriptions as beginning
from pm_api.domains.billing.schemas.subscriptions import (
    QuoteAnswer,
    SubscriptionCancel,
    SubscriptionChange,
    SubscriptionCreate,
    SubscriptionOutcome,
    SubscriptionPreview,
    SubscriptionResume,
)
from pm_api.domains.payments.errors import BillingDetailsRefused
from pm_api.identity.guards import require_account
from pm_api.integrations.stripe import PaymentProviderUnavailable

router = api_router(tag="billing")

Manager = Annotated[AccountScope, Depends(require_account("billing.manage"))]
Reader = Annotated[AccountScope, Depends(require_account("billing.read"))]
Key = Annotated[RequestKey, Depends(flow_key)]
ExpectedVersion = Annotated[int | None, Depends(if_match)]

_FLOW = (*FLOW_PROBLEMS, ChangeInProgress, PaymentProviderUnavailable, SubscriptionRefused)
_VERSIONED = (PreconditionFailed, InvalidIfMatch)
_SELLABLE = (ContactSales, PlanNotForAccount, PlanNotOnSale)
_CHANGEABLE = (
    *_SELLABLE,
    SubscriptionNotFound,
    SubscriptionNotChangeable,
    SubscriptionEnding,
    ChangeAwaitsPayment,
    PlanUnchanged,
    QuoteExpired,
)


@router.post(
    "/billing/subscriptions",
    operation_id="createSubscription",
    status_code=201,
    response_model=SubscriptionOutcome,
    responses={
        200: {
            "model": SubscriptionOutcome,
            "description": "There is one that waits for its first payment: this one.",
            **ETAG_HEADER,
        },
        201: answers_with("Location", "ETag"),
    },
    openapi_extra=raises(
        *_FLOW,
        *_SELLABLE,
        SubscriptionExists,
        SubscriptionIncomplete,
        PaymentMethodUnusable,
        BankDeclined,
        PromotionCodeInvalid,
        BillingDetailsRefused,
    ),
)
async def create_subscription(
    scope: Manager, platform: PlatformDep, key: Key, wanted: SubscriptionCreate
) -> Response:
    """Subscribe to a plan. What is left to do in the browser is done with `clientSecret`: pay, or confirm the card.

    The first subscription of a workspace begins with a trial of 14 days when there is a card that was in none before.
    With `paymentMethodId` it is charged at once: a card that pays makes it ACTIVE, one whose holder has to confirm is
    confirmed with `clientSecret`, and one that is declined begins nothing.

    While one waits for its first payment, the same request answers that one again; cancel it to choose another. Pages
    at Stripe that are open for a plan of this account are closed.
    """
    return await beginning.begin(platform, scope, wanted, key)


@router.put(
    "/billing/subscription",
    operation_id="changeSubscription",
    response_model=SubscriptionOutcome,
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*_FLOW, *_VERSIONED, *_CHANGEABLE, QuoteChanged, InvalidQuote, PaymentMethodUnusable),
)
async def change_subscription(
    scope: Manager,
    platform: PlatformDep,
    key: Key,
    expected_version: ExpectedVersion,
    wanted: SubscriptionChange,
) -> Response:
    """Change to another plan or interval. An upgrade takes effect and is charged at once; when its payment fails or
    has to be confirmed, everything stays as it is until it is paid with `clientSecret`.

    A smaller plan, and from yearly to monthly, waits for the end of the period, costs nothing, and can be undone
    until then: also by asking for the plan there is. With `quoteId` exactly what the quote says is done, or nothing.
    """
    return await subscription_changes.change(platform, scope, wanted, version_in(expected_version), key)


@router.post(
    "/billing/subscription/preview",
    operation_id="previewSubscriptionChange",
    openapi_extra=raises(*_CHANGEABLE, PaymentProviderUnavailable),
)
async def preview_subscription_change(
    scope: Reader, platform: PlatformDep, wanted: SubscriptionPreview
) -> QuoteAnswer:
    """What a change would cost and bring, to the cent and to the credit. Nothing is changed by looking.

    Hand the quote's `id` in with the change to have exactly that done. It holds for half an hour.
    """
    quote = await changes.preview(platform, accounts.of_scope(scope), (wanted.plan, wanted.billing_interval))
    return QuoteAnswer(quote=quote)


@router.post(
    "/billing/subscription/cancel",
    operation_id="cancelSubscription",
    response_model=SubscriptionOutcome,
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*_FLOW, *_VERSIONED, SubscriptionNotFound, ChangeAwaitsPayment),
)
async def cancel_subscription(
    scope: Manager,
    platform: PlatformDep,
    key: Key,
    expected_version: ExpectedVersion,
    wanted: SubscriptionCancel,
) -> Response:
    """End the subscription with the period that is paid for, or now. Nothing is refunded, nothing is deleted.

    Plan credits that are there stay until they expire. Until the period is over, `POST …/resume` takes it back.
    """
    return await subscription_changes.cancel(platform, scope, wanted, version_in(expected_version), key)


@router.post(
    "/billing/subscription/resume",
    operation_id="resumeSubscription",
    response_model=SubscriptionOutcome,
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*_FLOW, *_VERSIONED, SubscriptionNotFound, NothingToResume),
)
async def resume_subscription(
    scope: Manager,
    platform: PlatformDep,
    key: Key,
    expected_version: ExpectedVersion,
    wanted: SubscriptionResume,
) -> Response:
    """Take a cancellation back, or a change of plan that waits for the end of the period."""
    return await subscription_changes.resume(platform, scope, wanted, version_in(expected_version), key)
