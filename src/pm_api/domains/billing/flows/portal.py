"""A way into Stripe's portal. It is worth nothing after a few minutes, so one that was lost is not looked for."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import flows
from pm_api.core.actor import AccountScope
from pm_api.core.answers import Response, answer_with
from pm_api.core.flows import FlowKind, FlowView, RequestKey
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts, return_urls
from pm_api.domains.billing.errors import CheckoutRefused
from pm_api.domains.billing.flows.callers import account_of, pinned
from pm_api.domains.billing.flows.checkouts import forget_if_deleted
from pm_api.domains.billing.schemas.checkouts import PortalLink
from pm_api.domains.payments import customers
from pm_api.integrations.stripe import StripeDoor, StripeRefused, portal


class OpenPortal(FlowKind[str]):
    name = "billing.open_portal"

    async def act(self, platform: Platform, flow: FlowView) -> str:
        door = platform.part(StripeDoor)
        configuration = await portal.find_configuration(door)
        customer_id = await customers.ensure(platform, *account_of(flow))
        for step in ("portal", "portal-again"):
            try:
                return await portal.open_session(
                    door,
                    customer_id,
                    return_url=flow.parameters["returnUrl"],
                    configuration_id=configuration.id if configuration else None,
                    key=flow.key(step),
                )
            except StripeRefused as refused:
                if not await forget_if_deleted(platform, customer_id, refused):
                    raise CheckoutRefused("Stripe does not open its portal.", reason=refused.code) from refused
                customer_id = await customers.ensure(platform, *account_of(flow))
        raise CheckoutRefused("Stripe has deleted the customer twice.", reason="resource_missing")

    async def find(self, platform: Platform, flow: FlowView) -> str | None:  # noqa: ARG002
        return None

    async def settle(
        self,
        session: AsyncSession,  # noqa: ARG002
        platform: Platform,  # noqa: ARG002
        flow: FlowView,  # noqa: ARG002
        found: str,
    ) -> Response:
        return answer_with(PortalLink(url=found))


OPEN_PORTAL: Final = flows.register(OpenPortal())


async def open_portal(
    platform: Platform, scope: AccountScope, return_url: str | None, key: RequestKey | None
) -> Response:
    """Raises ReturnUrlNotAllowed, CheckoutRefused, and what flows raise."""
    back = return_urls.allowed(platform, return_url, "/returnUrl") or platform.settings.billing.portal_return_url

    async def begin(_session: AsyncSession, _flow_id: UUID) -> dict[str, Any]:
        return pinned(scope, returnUrl=back)

    return await flows.run(platform, OPEN_PORTAL, begin, request_key=key, subject=accounts.of_scope(scope)[1])
