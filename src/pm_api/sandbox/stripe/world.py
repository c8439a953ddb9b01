"""What every room of the sandbox works with: the store, the time and the way out."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.events import build_event
from pm_api.sandbox.stripe.store import Store
from pm_api.sandbox.stripe.webhooks import Deliverer


@dataclass(frozen=True)
class Origin:
    """The API request that caused an event; a person on a hosted page has none."""

    request_id: str | None = None
    idempotency_key: str | None = None


NO_REQUEST = Origin()


@dataclass(frozen=True)
class Sandbox:
    store: Store
    deliverer: Deliverer
    clock: Callable[[], datetime]
    secret_key: str

    def now(self) -> int:
        """Unix seconds of business time."""
        return int(self.clock().timestamp())

    def publish(
        self, event_type: str, about: Json, *, previous: Json | None = None, origin: Origin = NO_REQUEST
    ) -> Json:
        """Store an event with a snapshot of the object, and hand it to the endpoint in the background."""
        event = self.store.save(
            build_event(
                created=self.now(),
                event_type=event_type,
                about=about,
                previous_attributes=previous,
                request_id=origin.request_id,
                idempotency_key=origin.idempotency_key,
            )
        )
        self.deliverer.queue(event["id"])
        return event

    def shown_event(self, event: Json) -> Json:
        """The event as the API shows it: `pending_webhooks` is what is still owed."""
        owed = self.deliverer.endpoint.url is not None and not self.store.is_delivered(event["id"])
        return event | {"pending_webhooks": int(owed)}
