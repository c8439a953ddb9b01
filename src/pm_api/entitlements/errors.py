"""Refusals of entitlements."""

from pm_api.core.errors import PaymentRequired


class PlanLimitReached(PaymentRequired):
    """The plan holds no more of this: of what says `metric`, how many `limit`, how many there are `used`.

    Make room, or choose a larger plan at `upgradeUrl`.
    """

    code = "plan_limit_reached"
