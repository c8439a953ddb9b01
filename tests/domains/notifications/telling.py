"""Short ways to tell people something, and to look at what they were told."""

from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid4

from pm_api.core.platform import Platform
from pm_api.domains.notifications import service
from pm_api.domains.notifications.enums import Category
from tests.conftest import Person


async def tell(platform: Platform, user_ids: Collection[UUID], **fields: Any) -> int:
    """In a transaction of its own; each call is another thing unless it says `dedup_key`."""
    wanted: dict[str, Any] = {
        "category": Category.CREDITS,
        "type": "credits.low_balance",
        "dedup_key": uuid4().hex,
        "title": "Credits run low",
        "body": "20 are left.",
        "reason": "The credits are yours.",
        **fields,
    }
    async with platform.database.transaction() as session:
        return await service.notify(session, platform, user_ids=user_ids, **wanted)


async def listed(person: Person, **parameters: Any) -> list[dict[str, Any]]:
    """The first page of what a person was told."""
    answer = await person.client.get("/api/notifications", params=parameters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["notifications"]
    return found


async def titles(person: Person, **parameters: Any) -> list[str]:
    return [one["title"] for one in await listed(person, **parameters)]


async def told(platform: Platform, person: Person, **fields: Any) -> dict[str, Any]:
    """Tell one person one thing, and read it back."""
    assert await tell(platform, [person.id], **fields) == 1
    return (await listed(person))[0]


async def unread(person: Person) -> int:
    answer = await person.client.get("/api/notifications/unread-count")
    assert answer.status_code == 200, answer.text
    assert answer.json()["capped"] is False
    count: int = answer.json()["unread"]
    return count


async def changes_of(person: Person) -> list[dict[str, Any]]:
    """What changed in a person's own feed about notifications, oldest first."""
    answer = await person.client.get("/api/changes", params={"limit": 200})
    assert answer.status_code == 200, answer.text
    return [one for one in answer.json()["changes"] if one["entity"] == "notification"]


def path_of(notification: dict[str, Any], step: str = "") -> str:
    return f"/api/notifications/{notification['id']}{step}"
