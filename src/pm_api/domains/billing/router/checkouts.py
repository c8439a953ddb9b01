"""Routes of checkouts and of the portal."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import ApiError, NotFound
from pm_api.core.flows import FLOW_PROBLEMS, ChangeInProgress, RequestKey, flow_key, key_if_sent
from pm_api.core.http import entity_tag
from pm_api.core.idempotency import IdempotencyInProgress, IdempotencyKeyReused, InvalidIdempotencyKey, api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.ai_credits.errors import OfferExpired, UnknownPackName
from pm_api.domains.billing import checkouts
from pm_api.domains.billing.errors import (
    CheckoutRefused,
    ContactSales,
    PlanNotForAccount,
    PlanNotOnSale,
    PromotionCodeInvalid,
    ReturnUrlNotAllowed,
    SubscriptionExists,
)
from pm_api.domains.billing.flows import portal
from pm_api.domains.billing.schemas.checkouts import (
    CheckoutAnswer,
    CheckoutCreate,
    CheckoutOpened,
    PortalCreate,
    PortalLink,
    PurchaseCreate,
)
from pm_api.domains.payments import checkouts as till
from pm_api.domains.payments.errors import BillingDetailsRefused
from pm_api.identity.guards import RequireAccountOf, require_account
from pm_api.integrations.stripe import PaymentProviderUnavailable

router = api_router(tag="billing")

Manager = Annotated[AccountScope, Depends(require_account("billing.manage"))]
Key = Annotated[RequestKey, Depends(flow_key)]
KeyIfSent = Annotated[RequestKey | None, Depends(key_if_sent)]

_AT_STRIPE: Final[tuple[type[ApiError], ...]] = (
    PaymentProviderUnavailable,
    CheckoutRefused,
    BillingDetailsRefused,
    ReturnUrlNotAllowed,
)
_BUYING: Final[tuple[type[ApiError], ...]] = (
    UnknownPackName,
    OfferExpired,
    PromotionCodeInvalid,
    *_AT_STRIPE,
    *FLOW_PROBLEMS,
)
_OPENED: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "model": CheckoutOpened,
        "description": "The page is open.",
        **answers_with("Location", "Idempotent-Replayed"),
    }
}


class CheckoutOfPath(RequireAccountOf):
    """The account of a checkout that is named by our id, or by Stripe's as it comes back in the success URL."""

    async def account_of(self, session: AsyncSession, request: Request) -> UUID | None:
        place = await till.place_of(session, request.path_params["checkout_id"])
        return place[1] if place is not None else await super().account_of(session, request)


@router.post(
    "/billing/checkout-session",
    operation_id="createCheckoutSession",
    status_code=201,
    response_model=CheckoutOpened,
    responses=_OPENED,
    openapi_extra=raises(
        *_BUYING, ContactSales, PlanNotForAccount, PlanNotOnSale, SubscriptionExists, ChangeInProgress
    ),
)
async def create_checkout_session(
    scope: Manager, platform: PlatformDep, key: Key, wanted: CheckoutCreate
) -> Response:
    """Open a page at Stripe where a pack, a bundle or a plan is bought. What was paid arrives by Stripe's event;
    `GET …/{id}` shows it after the buyer's return.
    """
    return await checkouts.open_one(platform, scope, wanted, key)


@router.post(
    "/credits/purchase",
    operation_id="purchaseCredits",
    status_code=201,
    response_model=CheckoutOpened,
    responses=_OPENED,
    openapi_extra=raises(*_BUYING),
)
async def purchase_credits(scope: Manager, platform: PlatformDep, key: Key, wanted: PurchaseCreate) -> Response:
    """Open a page at Stripe where credits are bought: the same as a checkout session for a pack or a bundle."""
    return await checkouts.open_one(platform, scope, wanted, key)


@router.get(
    "/billing/checkout-session/{checkout_id}",
    operation_id="getCheckoutSession",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_checkout_session(
    scope: Annotated[AccountScope, Depends(CheckoutOfPath("billing.read", "checkout_sessions"))],
    session: SessionDep,
    response: Response,
    checkout_id: Annotated[str, Path(max_length=255, description="Our id, or Stripe's `cs_…`.")],
) -> CheckoutAnswer:
    """What became of a checkout, for the page the buyer returns to. Right after the return it may still be OPEN:
    Stripe's event is on its way.
    """
    place = await till.place_of(session, checkout_id)
    found = await checkouts.read(session, scope, place[0] if place is not None else UUID(checkout_id))
    response.headers["ETag"] = entity_tag(found.version)
    return CheckoutAnswer(checkout_session=found)


@router.get(
    "/billing/portal-link",
    operation_id="getPortalLink",
    response_model=PortalLink,
    openapi_extra=raises(*_AT_STRIPE),
)
async def get_portal_link(
    scope: Manager,
    platform: PlatformDep,
    _workspace_id: Annotated[
        UUID | None, Query(alias="workspaceId", description="The workspace whose portal it is; absent: your own.")
    ] = None,
    return_url: Annotated[
        str | None,
        Query(
            alias="returnUrl",
            max_length=2000,
            description="Where the portal leads back to; its origin must be allowed.",
        ),
    ] = None,
) -> Response:
    """A way into Stripe's portal, where invoices are seen, cards changed and subscriptions ended; new each time."""
    return await portal.open_portal(platform, scope, return_url, None)


@router.post(
    "/billing/portal-link",
    operation_id="createPortalLink",
    response_model=PortalLink,
    responses={200: answers_with("Idempotent-Replayed")},
    openapi_extra=raises(*_AT_STRIPE, IdempotencyKeyReused, InvalidIdempotencyKey, IdempotencyInProgress),
)
async def create_portal_link(scope: Manager, platform: PlatformDep, key: KeyIfSent, wanted: PortalCreate) -> Response:
    """The same, for who would rather not have it in a browser's history."""
    return await portal.open_portal(platform, scope, wanted.return_url, key)
