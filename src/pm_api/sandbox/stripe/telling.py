"""Changing an object and saying so: the event carries what stood there before."""

from pm_api.sandbox.stripe.billing.records import differences
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.world import Sandbox


def told(sandbox: Sandbox, before: Json, body: Json, event_type: str) -> Json:
    """Save a body that was changed since `before`, with an event when something is different now."""
    previous = differences(before, body)
    if previous:
        sandbox.store.save(body)
        sandbox.publish(event_type, body, previous=previous)
    return body
