"""Subscription schedules: a change of plan that waits for the end of the period."""

from typing import Final

import stripe
from stripe.params import (
    SubscriptionScheduleUpdateParams,
    SubscriptionScheduleUpdateParamsPhase,
    SubscriptionScheduleUpdateParamsPhaseDiscount,
)

from pm_api.integrations.stripe import subscriptions
from pm_api.integrations.stripe.door import StripeDoor, calling, keyed
from pm_api.integrations.stripe.subscriptions import StripeSubscription
from pm_api.integrations.stripe.values import known_id_of

# The schedule lets go of the subscription one day into the new price, so that it stands in nobody's way for long.
_HANDOVER_DAYS: Final = 1


async def schedule_change(door: StripeDoor, subscription_id: str, price_id: str, *, key: str) -> StripeSubscription:
    """Another price from the end of the running period on, with nothing billed for the change.

    A change that was scheduled before is replaced. Two writes to Stripe: when only the first one happened, calling
    again finds its schedule and goes on from there.
    """
    async with calling(subscription_id):
        found = await door.client.v1.subscriptions.retrieve_async(subscription_id, {"expand": ["schedule"]})
        schedule, period_end = found.schedule, found.items.data[0].current_period_end
        if not isinstance(schedule, stripe.SubscriptionSchedule):
            schedule = await door.client.v1.subscription_schedules.create_async(
                {"from_subscription": subscription_id}, keyed(f"{key}:schedule")
            )
        await door.client.v1.subscription_schedules.update_async(
            schedule.id, planned_phases(schedule, period_end, price_id), keyed(f"{key}:phases")
        )
    return await subscriptions.retrieve(door, subscription_id)


async def undo_change(door: StripeDoor, subscription_id: str, schedule_id: str, *, key: str) -> StripeSubscription:
    """Release the schedule: the subscription stays as it is. Refused when the schedule is over."""
    async with calling(schedule_id):
        await door.client.v1.subscription_schedules.release_async(schedule_id, None, keyed(key))
    return await subscriptions.retrieve(door, subscription_id)


async def set_default_payment_method(door: StripeDoor, schedule_id: str, payment_method_id: str, *, key: str) -> None:
    """The phases that run and come are paid with this one: each has a card of its own, which the subscription takes
    over when it begins.
    """
    async with calling(schedule_id):
        schedule = await door.client.v1.subscription_schedules.retrieve_async(schedule_id)
        if schedule.current_phase is None:
            return
        begun = schedule.current_phase.start_date
        phases = [_as_it_is(phase) for phase in schedule.phases if phase.start_date >= begun]
        for phase in phases:
            phase["default_payment_method"] = payment_method_id
            phase["proration_behavior"] = "none"
        params: SubscriptionScheduleUpdateParams = {"proration_behavior": "none", "phases": phases}
        await door.client.v1.subscription_schedules.update_async(schedule_id, params, keyed(key))


def planned_phases(
    schedule: stripe.SubscriptionSchedule, period_end: int, price_id: str
) -> SubscriptionScheduleUpdateParams:
    """Stripe takes the phases as a whole: what the running one does not repeat, the subscription would lose.

    The running phase may be the handover of an earlier change: it is made to last until the period ends.
    """
    running = schedule.phases[0]
    if schedule.current_phase is not None:
        start = schedule.current_phase.start_date
        running = next((phase for phase in schedule.phases if phase.start_date == start), running)
    kept = _as_it_is(running)
    kept["end_date"] = period_end
    following = _carried(running)
    following["items"] = [{"price": price_id, "quantity": 1}]
    following["duration"] = {"interval": "day", "interval_count": _HANDOVER_DAYS}
    following["proration_behavior"] = "none"
    return {"end_behavior": "release", "proration_behavior": "none", "phases": [kept, following]}


def _as_it_is(phase: stripe.SubscriptionSchedule.Phase) -> SubscriptionScheduleUpdateParamsPhase:
    kept = _carried(phase)
    kept["items"] = [
        {"price": known_id_of(item.price), "quantity": 1 if item.quantity is None else item.quantity}
        for item in phase.items
    ]
    kept["start_date"] = phase.start_date
    kept["end_date"] = phase.end_date
    if phase.trial_end is not None:
        kept["trial_end"] = phase.trial_end
    return kept


def _carried(running: stripe.SubscriptionSchedule.Phase) -> SubscriptionScheduleUpdateParamsPhase:
    """What one phase hands on to the next: card, discounts, tax."""
    phase: SubscriptionScheduleUpdateParamsPhase = {"items": []}
    if running.default_payment_method is not None:
        phase["default_payment_method"] = known_id_of(running.default_payment_method)
    discounts = [carried for one in running.discounts if (carried := _carried_discount(one))]
    if discounts:
        phase["discounts"] = discounts
    if "automatic_tax" in running and running.automatic_tax is not None and running.automatic_tax.enabled:
        phase["automatic_tax"] = {"enabled": True}
    return phase


def _carried_discount(
    one: stripe.SubscriptionSchedule.Phase.Discount,
) -> SubscriptionScheduleUpdateParamsPhaseDiscount | None:
    if "discount" in one and one.discount is not None:
        return {"discount": known_id_of(one.discount)}
    if "promotion_code" in one and one.promotion_code is not None:
        return {"promotion_code": known_id_of(one.promotion_code)}
    if "coupon" in one and one.coupon is not None:
        return {"coupon": known_id_of(one.coupon)}
    return None
