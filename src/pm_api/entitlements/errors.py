"""Refusals of entitlements."""

from pm_api.core.errors import PaymentRequired


class PlanLimitReached(PaymentRequired):
    """The plan holds no more of this: of what says `metric`, how many `limit`, how many there are `used`.

    `upgradePlan` is the smallest plan that would do, null when none does: make room, or choose it at `upgradeUrl`.
    """

    code = "plan_limit_reached"
