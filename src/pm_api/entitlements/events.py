"""What entitlements tell the floors above."""

from uuid import UUID

from pm_api.core.events import Event


class EntitlementChanged(Event, name="entitlement.changed"):
    """An account's plan, limits or dates are others, or a contract that was waiting has begun.

    `gives` is the plan that is given now, `gave` the one before; null where nothing was written anew.
    """

    account_kind: str
    account_id: UUID
    plan: str
    status: str
    version: int
    gives: str | None = None
    gave: str | None = None
