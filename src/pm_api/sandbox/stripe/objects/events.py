"""The event: a snapshot of an object at the moment something happened to it."""

from pm_api.sandbox.stripe.objects.common import API_VERSION, Json, new_id


def build_event(
    *,
    created: int,
    event_type: str,
    about: Json,
    event_id: str | None = None,
    previous_attributes: Json | None = None,
    request_id: str | None = None,
    idempotency_key: str | None = None,
) -> Json:
    data: Json = {"object": about}
    if previous_attributes is not None:
        data["previous_attributes"] = previous_attributes
    return {
        "id": event_id or new_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": created,
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": request_id, "idempotency_key": idempotency_key},
        "type": event_type,
    }
