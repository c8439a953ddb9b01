"""Pure rules of outgoing webhooks: what a filter lets through, what is said, when it is tried again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from pm_api.core.schema import written

EVERYTHING: Final = "*"
FILTER: Final = re.compile(r"\*|[a-z][a-z0-9_]*\.(\*|[a-z][a-z0-9_]*)")
PAYLOAD_VERSION: Final = 1

KEPT_TRYING: Final = timedelta(days=3)
DELAYS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
)
"""Between the tries of one delivery; the last one is repeated until three days are over."""
LONGEST_PAUSE: Final = timedelta(hours=1)
"""A receiver that is away is looked for at least as often, so that what waits is sent soon after it is back."""
JITTER: Final = 0.2

GONE: Final = 410
AWAY: Final = frozenset({429, 502, 503, 504})
"""Answers that speak of the receiver as a whole, and not of what was sent."""

READ_AT: Final[dict[str, str | None]] = {
    "workspace": "/api/workspaces/{id}",
    "invitation": "/api/team/invitations/{id}",
    "project": "/api/projects/{id}",
    "credit_pool": "/api/credits/pool?workspaceId={workspace_id}",
    "credit_pool_request": "/api/credits/pool/requests/{id}",
    "notification": "/api/notifications/{id}",
    "webhook_endpoint": "/api/webhook-endpoints/{id}",
    "conversation": "/api/conversations/{id}",
    "message": "/api/messages/{id}",
    "member": None,
    "project_status": None,
    "project_label": None,
    "project_field": None,
    "task": "/api/tasks/{id}",
    "task_comment": None,
    "checklist_item": None,
    "task_dependency": None,
    "time_entry": None,
    "saved_view": "/api/saved-views/{id}",
    "bug_report": "/api/bug-reports/{id}",
    "calendar_event": "/api/calendar/events/{id}",
    "calendar_resource": "/api/calendar/resources/{id}",
    "file": "/api/storage/files/{id}",
}
"""Every kind of thing that changes tell of, and where it is read; None for what is read with what it is a part of. A
slice that tells of a new kind enters it here."""
NOT_TOLD: Final = frozenset({"bug_report", "credit_pool_request", "invitation", "webhook_endpoint"})
"""Kinds that not every member may read: no endpoint is told of them, except of its own test."""
ENDED: Final = frozenset({"deleted", "removed"})


@dataclass(frozen=True, slots=True)
class Fact:
    """What a delivery tells of."""

    workspace_id: UUID
    position: int | None
    entity: str
    entity_id: UUID
    action: str
    version: int
    actor_user_id: UUID | None
    occurred_at: datetime

    @property
    def type(self) -> str:
        return f"{self.entity}.{self.action}"


def told_kinds() -> list[str]:
    """What an endpoint can ask for."""
    return sorted(READ_AT.keys() - NOT_TOLD)


def lets_through(events: Sequence[str], entity: str, action: str) -> bool:
    return any(one in (EVERYTHING, f"{entity}.*", f"{entity}.{action}") for one in events)


def payload(fact: Fact, public_url: str) -> bytes:
    """The body of a webhook, the same bytes at every try. It says what changed and where to read it, no more."""
    return orjson.dumps(
        {
            "type": fact.type,
            "timestamp": written(fact.occurred_at),
            "data": {
                "payloadVersion": PAYLOAD_VERSION,
                "workspaceId": str(fact.workspace_id),
                "position": fact.position,
                "entity": fact.entity,
                "id": str(fact.entity_id),
                "action": fact.action,
                "version": fact.version,
                "actorUserId": None if fact.actor_user_id is None else str(fact.actor_user_id),
                "url": address_of(fact, public_url),
            },
        }
    )


def address_of(fact: Fact, public_url: str) -> str | None:
    """Where the thing is read with an access token; None for what is gone or has no address of its own."""
    path = READ_AT.get(fact.entity)
    if path is None or fact.action in ENDED:
        return None
    return public_url.rstrip("/") + path.format(id=fact.entity_id, workspace_id=fact.workspace_id)


def delay(failures: int, jitter: float) -> timedelta:
    """After so many tries that failed, 1 or more; within a fifth of the step, either way."""
    step = DELAYS[min(failures, len(DELAYS)) - 1]
    return step * (1 - JITTER + 2 * JITTER * jitter)


def pause(failures: int, jitter: float, retry_after_s: int | None) -> timedelta:
    """How long a receiver that is away is left alone; it may ask for more, up to the longest pause."""
    asked = timedelta(seconds=retry_after_s or 0)
    return min(LONGEST_PAUSE, max(asked, delay(failures, jitter)))


def shown(start: bytes) -> str:
    """The beginning of an answer as text that a table can hold."""
    return start.decode("utf-8", "replace").replace("\x00", "\ufffd")
