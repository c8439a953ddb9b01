"""What entitlements tell the floors above."""

from uuid import UUID

from pm_api.core.events import Event


class EntitlementChanged(Event, name="entitlement.changed"):
    """An account's plan, limits or dates are others, or a contract that was waiting has begun."""

    account_kind: str
    account_id: UUID
    plan: str
    status: str
    version: int
