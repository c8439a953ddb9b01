"""The log: every change with old and new, by whom and with which key, and long texts cut."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from pm_api.core.platform import Platform
from pm_api.domains.tasks.activity import LONGEST_TEXT, FieldChange, plain
from pm_api.domains.tasks.models import TaskActivity
from tests.domains.tasks.sites import Json, Site


async def log_of(platform: Platform, task: Json) -> list[TaskActivity]:
    async with platform.database.reading() as session:
        rows = await session.scalars(
            select(TaskActivity).where(TaskActivity.task_id == UUID(task["id"])).order_by(TaskActivity.id)
        )
        return list(rows)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00.000Z"),
        (date(2026, 1, 2), "2026-01-02"),
        (UUID(int=7), str(UUID(int=7))),
        ({UUID(int=2), UUID(int=1)}, [str(UUID(int=1)), str(UUID(int=2))]),
        ({"A": date(2026, 1, 2)}, {"A": "2026-01-02"}),
        ([1, None, True], [1, None, True]),
    ],
)
def test_values_are_stored_as_they_are_told(value: Any, form: Any) -> None:
    assert plain(value) == form
    assert FieldChange("x", None, value).form() == {"field": "x", "old": None, "new": form}


def test_a_long_text_is_cut() -> None:
    cut = plain("x" * 50_000)
    assert len(cut) == LONGEST_TEXT
    assert cut.endswith("…")
    assert plain("x" * LONGEST_TEXT) == "x" * LONGEST_TEXT


async def test_a_change_is_logged_once_with_old_and_new(site: Site, platform: Platform) -> None:
    project = await site.project()
    task = await site.task(project, "Before")
    await site.change(task, title="After", priority="HIGH")
    await site.change(task, title="After")
    made, changed = await log_of(platform, task)
    assert (made.action, changed.action) == ("created", "updated")
    assert changed.changes == [
        {"field": "title", "old": "Before", "new": "After"},
        {"field": "priority", "old": "NONE", "new": "HIGH"},
    ]
    assert changed.actor_user_id == site.owner.id
    assert changed.actor_key_id is None
    assert (str(changed.project_id), str(changed.workspace_id)) == (project["id"], site.id)


async def test_the_key_is_named_beside_its_person(site: Site, platform: Platform, client: Any) -> None:
    project = await site.project()
    task = await site.task(project, "Before")
    body = {"name": "Robot", "scopes": ["task:write"]}
    made = (await site.owner.client.post("/api/api-keys", json=body)).json()
    answer = await client.patch(
        f"/api/tasks/{task['id']}", json={"title": "After"}, headers={"Authorization": f"Bearer {made['token']}"}
    )
    assert answer.status_code == 200, answer.text
    changed = (await log_of(platform, task))[-1]
    assert changed.actor_user_id == site.owner.id
    assert str(changed.actor_key_id) == made["apiKey"]["id"]
