"""Routes of payment methods. Those that write go to Stripe by flows, which keep their answers."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import AccountScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.flows import FLOW_PROBLEMS, ChangeInProgress, RequestKey, key_if_sent
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.billing import payment_methods
from pm_api.domains.billing.errors import InvalidCardExpiry, LastPaymentMethod, PaymentMethodUnusable
from pm_api.domains.billing.flows import payment_methods as writing
from pm_api.domains.billing.schemas.payment_methods import (
    PaymentMethodAnswer,
    PaymentMethodAttach,
    PaymentMethodsAnswer,
    PaymentMethodUpdate,
    SetupIntentAnswer,
    SetupIntentCreate,
)
from pm_api.domains.payments.errors import BillingDetailsRefused
from pm_api.identity.guards import require_account, require_account_of
from pm_api.integrations.stripe import PaymentProviderUnavailable

PaymentMethodId = Annotated[UUID, Path(description="The payment method, by our id.")]
router = api_router(tag="billing")

WorkspaceParameter = Annotated[
    UUID | None, Query(alias="workspaceId", description="The workspace's payment methods; absent: your own.")
]
Manager = Annotated[AccountScope, Depends(require_account("billing.manage"))]
ManagerOfIt = Annotated[AccountScope, Depends(require_account_of("payment_methods", "billing.manage"))]
ExpectedVersion = Annotated[int | None, Depends(if_match)]


KeyIfSent = Annotated[RequestKey | None, Depends(key_if_sent)]


@router.get("/billing/payment-methods", operation_id="listPaymentMethods", openapi_extra=raises(InvalidCursor))
async def list_payment_methods(
    scope: Annotated[AccountScope, Depends(require_account("billing.read"))],
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: WorkspaceParameter = None,
) -> PaymentMethodsAnswer:
    """What an account may pay with, newest first."""
    return await payment_methods.list_of(session, platform, scope, page)


@router.post(
    "/billing/payment-methods/setup-intent",
    operation_id="createSetupIntent",
    status_code=201,
    response_model=SetupIntentAnswer,
    responses={201: answers_with("Location")},
    openapi_extra=raises(PaymentMethodUnusable, BillingDetailsRefused, PaymentProviderUnavailable, *FLOW_PROBLEMS),
)
async def create_setup_intent(
    scope: Manager, platform: PlatformDep, key: KeyIfSent, _wanted: SetupIntentCreate
) -> Response:
    """Begin to add a payment method: the browser asks for it with the client secret, and gives it to Stripe alone."""
    return await writing.make_setup_intent(platform, scope, key)


@router.post(
    "/billing/payment-methods",
    operation_id="attachPaymentMethod",
    status_code=201,
    response_model=PaymentMethodAnswer,
    responses={201: answers_with("Location", "ETag")},
    openapi_extra=raises(
        PaymentMethodUnusable, BillingDetailsRefused, ChangeInProgress, PaymentProviderUnavailable, *FLOW_PROBLEMS
    ),
)
async def attach_payment_method(
    scope: Manager, platform: PlatformDep, key: KeyIfSent, wanted: PaymentMethodAttach
) -> Response:
    """Add a payment method that a setup intent of the same account has taken. The first becomes the default."""
    return await writing.attach(platform, scope, wanted, key)


@router.get(
    "/billing/payment-methods/{payment_method_id}",
    operation_id="getPaymentMethod",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_payment_method(
    scope: Annotated[AccountScope, Depends(require_account_of("payment_methods", "billing.read"))],
    session: SessionDep,
    response: Response,
    payment_method_id: PaymentMethodId,
) -> PaymentMethodAnswer:
    """One payment method."""
    found = await payment_methods.get(session, scope, payment_method_id)
    response.headers["ETag"] = entity_tag(found.version)
    return PaymentMethodAnswer(payment_method=found)


@router.patch(
    "/billing/payment-methods/{payment_method_id}",
    operation_id="updatePaymentMethod",
    response_model=PaymentMethodAnswer,
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        NotFound,
        InvalidCardExpiry,
        PaymentMethodUnusable,
        ChangeInProgress,
        PaymentProviderUnavailable,
        PreconditionFailed,
        InvalidIfMatch,
    ),
)
async def update_payment_method(
    scope: ManagerOfIt,
    platform: PlatformDep,
    payment_method_id: PaymentMethodId,
    expected_version: ExpectedVersion,
    wanted: PaymentMethodUpdate,
) -> Response:
    """Make it the default, or give a card its new date."""
    return await writing.change(platform, scope, payment_method_id, wanted, expected_version)


@router.delete(
    "/billing/payment-methods/{payment_method_id}",
    operation_id="removePaymentMethod",
    status_code=204,
    openapi_extra=raises(
        NotFound,
        LastPaymentMethod,
        PaymentMethodUnusable,
        ChangeInProgress,
        PaymentProviderUnavailable,
        PreconditionFailed,
        InvalidIfMatch,
    ),
)
async def remove_payment_method(
    scope: ManagerOfIt, platform: PlatformDep, payment_method_id: PaymentMethodId, expected_version: ExpectedVersion
) -> Response:
    """Remove it for good. If it was the default, the newest of the others is from now on. The last one of a live
    subscription stays.
    """
    return await writing.remove(platform, scope, payment_method_id, expected_version)
