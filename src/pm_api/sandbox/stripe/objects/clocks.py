"""The test clock, and the address that webhooks are wanted at."""

from pm_api.sandbox.stripe.objects.common import API_VERSION, Json, new_id

KEPT_FOR_S = 7 * 24 * 60 * 60


def build_test_clock(*, created: int, frozen_time: int, name: str | None) -> Json:
    return {
        "id": new_id("clock"),
        "object": "test_helpers.test_clock",
        "created": created,
        "deletes_after": created + KEPT_FOR_S,
        "frozen_time": frozen_time,
        "livemode": False,
        "name": name,
        "status": "ready",
        "status_details": {},
    }


def build_webhook_endpoint(
    *,
    created: int,
    url: str,
    enabled_events: list[str],
    description: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Json:
    return {
        "id": new_id("we"),
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": created,
        "description": description,
        "enabled_events": enabled_events,
        "livemode": False,
        "metadata": metadata or {},
        "status": "enabled",
        "url": url,
    }
