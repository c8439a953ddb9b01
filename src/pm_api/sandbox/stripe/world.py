"""What every room of the sandbox works with: the store, the time and the way out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.events import build_event
from pm_api.sandbox.stripe.store import Store
from pm_api.sandbox.stripe.webhooks import Deliverer

CLOCK_OFFSET = "clock_offset_s"
BASE_URL = "base_url"


@dataclass(frozen=True)
class Origin:
    """The API request that caused an event; a person on a hosted page has none."""

    request_id: str | None = None
    idempotency_key: str | None = None


NO_REQUEST = Origin()


@dataclass(frozen=True)
class Sandbox:
    """`clock` is the time in which the objects at hand live: the world's, or that of their test clock.

    `world` is the time of events. It never stands still in a test clock's future or past, so that whoever reads
    `/v1/events` from the last moment seen onwards misses nothing.
    """

    store: Store
    deliverer: Deliverer
    clock: Callable[[], datetime]
    world: Callable[[], datetime]
    secret_key: str
    origin: Origin = NO_REQUEST

    def now(self) -> int:
        """Unix seconds of the time in which the objects at hand live."""
        return int(self.clock().timestamp())

    def at(self, moment: int) -> "Sandbox":
        """The same sandbox with objects living at `moment`; events keep the world's time."""
        return replace(self, clock=lambda: datetime.fromtimestamp(moment, UTC))

    def in_the_world_at(self, moment: int) -> "Sandbox":
        """The world as it was at a moment that is now being made up for."""
        return replace(self.at(moment), world=lambda: datetime.fromtimestamp(moment, UTC))

    def asked_by(self, origin: Origin) -> "Sandbox":
        """Events from now on carry this request."""
        return replace(self, origin=origin)

    def link(self, path: str) -> str:
        """An address on this sandbox, as people reached it last."""
        return f"{self.store.setting(BASE_URL) or 'http://localhost/'}{path}"

    def publish(
        self, event_type: str, about: Json, *, previous: Json | None = None, origin: Origin | None = None
    ) -> Json:
        """Store an event with a snapshot of the object, and hand it to the endpoint in the background."""
        cause = origin or self.origin
        event = self.store.save(
            build_event(
                created=int(self.world().timestamp()),
                event_type=event_type,
                about=about,
                previous_attributes=previous,
                request_id=cause.request_id,
                idempotency_key=cause.idempotency_key,
            )
        )
        self.deliverer.queue(event)
        return event

    def shown_event(self, event: Json) -> Json:
        """The event as the API shows it: `pending_webhooks` is what is still owed."""
        owed = self.deliverer.endpoint.url is not None and not self.store.is_delivered(event["id"])
        return event | {"pending_webhooks": int(owed)}
