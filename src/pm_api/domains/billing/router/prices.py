"""The route by which an operator takes Stripe's prices over."""

from typing import Annotated

from fastapi import Depends

from pm_api.core.actor import AdminScope
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.billing import price_sync
from pm_api.domains.billing.errors import TooManyPrices
from pm_api.domains.billing.schemas.prices import PriceSyncAnswer, SyncPricesRequest
from pm_api.identity.guards import operator
from pm_api.integrations.stripe import PaymentProviderUnavailable

router = api_router(tag="billing")


@router.post(
    "/billing/sync-prices",
    operation_id="syncPrices",
    openapi_extra=raises(TooManyPrices, PaymentProviderUnavailable),
)
async def sync_prices(
    scope: Annotated[AdminScope, Depends(operator)], platform: PlatformDep, wanted: SyncPricesRequest
) -> PriceSyncAnswer:
    """Compare Stripe's products and prices with our catalogue, and with `dryRun` false take them over.

    Metadata `plan`, `pack` or `bundle`, with `includedCredits`, `bonusCredits` (and a bundle's `lots` and
    `validUntil`), is read from the price, else from its product. What has a plan gets other credits from its next
    period on. What cannot be read is in `problems`, and changes nothing.
    """
    return PriceSyncAnswer(sync=await price_sync.synchronise(platform, scope, dry_run=wanted.dry_run))
