"""Time passing: whatever became due is carried out in its order, each at its own moment."""

import logging
from datetime import datetime

from pm_api.sandbox.stripe.billing.lifecycle import invoice_due, subscription_due
from pm_api.sandbox.stripe.billing.schedules import schedule_due
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.store import Timer, field_is
from pm_api.sandbox.stripe.world import CLOCK_OFFSET, Sandbox

logger = logging.getLogger(__name__)
HANDLERS = {"subscription": subscription_due, "invoice": invoice_due, "subscription_schedule": schedule_due}


def catch_up(sandbox: Sandbox) -> None:
    """Carry out what the world's time has brought since anybody last looked."""
    while True:
        timer = sandbox.store.next_timer(None, sandbox.now())
        if timer is None:
            return
        try:
            with sandbox.store.transaction():
                _carry_out(sandbox.in_the_world_at(timer.at), timer)
        except Exception:
            # What cannot be carried out must not stand in the way of everything that comes after it.
            logger.exception("Could not carry out %s of %s.", timer.action, timer.object_id)
            sandbox.store.drop_timer(timer)


def offset_s(sandbox: Sandbox) -> int:
    """How far the sandbox's time is ahead of the time it was started with."""
    return int(sandbox.store.setting(CLOCK_OFFSET) or 0)


def move_world(sandbox: Sandbox, offset: int) -> datetime:
    """Set the world's offset, never back, and carry out what that brings."""
    sandbox.store.set_setting(CLOCK_OFFSET, str(max(offset, offset_s(sandbox))))
    catch_up(sandbox)
    return sandbox.clock()


def advance_clock(sandbox: Sandbox, clock: Json, until: int) -> Json:
    """Move a test clock on through everything that becomes due; answers it as it was under way.

    It is ready as soon as the call is answered.
    """
    clock["status"] = "advancing"
    clock["status_details"] = {"advancing": {"target_frozen_time": until}}
    under_way = dict(clock)
    sandbox.store.save(clock)
    sandbox.publish("test_helpers.test_clock.advancing", clock)
    while True:
        timer = sandbox.store.next_timer(clock["id"], until)
        if timer is None:
            break
        clock["frozen_time"] = max(clock["frozen_time"], timer.at)
        sandbox.store.save(clock)
        _carry_out(sandbox.at(clock["frozen_time"]), timer)
    clock.update(frozen_time=until, status="ready", status_details={})
    sandbox.store.save(clock)
    sandbox.publish("test_helpers.test_clock.ready", clock)
    return under_way | {"frozen_time": until}


def delete_clock(sandbox: Sandbox, clock: Json) -> Json:
    """The clock goes, and all that lived in its time with it."""
    store = sandbox.store
    for customer in store.all("customer", [field_is("test_clock", clock["id"])]):
        for name in ("invoice", "invoiceitem", "subscription_schedule", "subscription"):
            for body in store.all(name, [field_is("customer", customer["id"])]):
                store.remove(body["id"])
                store.remove(f"{body['id']}.state")
        store.remove(customer["id"])
    store.remove(clock["id"])
    deleted = {"id": clock["id"], "object": "test_helpers.test_clock", "deleted": True}
    sandbox.publish("test_helpers.test_clock.deleted", clock)
    return deleted


def _carry_out(sandbox: Sandbox, timer: Timer) -> None:
    """Drop the timer, then act; what comes again sets its timer again."""
    sandbox.store.drop_timer(timer)
    body = sandbox.store.find(timer.object_id)
    if body is not None and body["object"] in HANDLERS:
        HANDLERS[body["object"]](sandbox, body, timer.action)
