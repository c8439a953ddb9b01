"""The life of a project: its steps, its archiving, its deletion and what brings it back."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.projects import contents
from pm_api.domains.projects.contents import Content
from pm_api.identity.permissions import Role
from tests.domains.projects.sites import Site, listed, path_of, read, refusal
from tests.support.clock import MovableClock

VERBS = {"start": "ACTIVE", "stop": "PAUSED", "complete": "COMPLETED", "archive": "ARCHIVED"}
ALLOWED = {
    "PLANNED": {"start", "complete", "archive"},
    "ACTIVE": {"stop", "complete", "archive"},
    "PAUSED": {"start", "complete", "archive"},
    "COMPLETED": {"archive"},
    "ARCHIVED": set(),
}
WAY_TO = {
    "PLANNED": [],
    "ACTIVE": ["start"],
    "PAUSED": ["start", "stop"],
    "COMPLETED": ["complete"],
    "ARCHIVED": ["start", "archive"],
}


async def go(site: Site, project: dict[str, Any], *verbs: str) -> dict[str, Any]:
    found = project
    for verb in verbs:
        answer = await site.owner.client.post(path_of(project, f"/{verb}"))
        assert answer.status_code == 200, answer.text
        found = answer.json()["project"]
    return found


@pytest.mark.parametrize("status", sorted(WAY_TO))
async def test_where_each_step_leads(site: Site, status: str) -> None:
    """By the verb and by PUT and PATCH of `status` alike."""
    for verb, target in VERBS.items():
        for by_field in (None, "PUT", "PATCH"):
            made = await site.project()
            assert (await go(site, made, *WAY_TO[status])).get("status") == status
            offered = verb in (await read(site.owner, made))["allowedActions"]
            assert offered == (verb in ALLOWED[status])
            if by_field is None:
                answer = await site.owner.client.post(path_of(made, f"/{verb}"))
            else:
                answer = await site.owner.client.request(by_field, path_of(made), json={"status": target})
            if by_field is not None and target == status:
                assert answer.status_code == 200  # as it is
            elif verb in ALLOWED[status]:
                assert (answer.status_code, answer.json()["project"]["status"]) == (200, target)
            else:
                assert refusal(answer) == (409, "invalid_transition")


async def test_no_step_leads_back_to_planned(site: Site) -> None:
    made = await site.project()
    await go(site, made, "start")
    answer = await site.owner.client.patch(path_of(made), json={"status": "PLANNED"})
    assert refusal(answer) == (409, "invalid_transition")


async def test_an_archived_one_can_only_be_read(site: Site) -> None:
    made = await site.project()
    person = await site.person(Role.MEMBER)
    await go(site, made, "start", "archive")
    assert (await read(site.owner, made))["allowedActions"] == ["restore", "delete", "copy"]
    client = site.owner.client
    refused = [
        await client.patch(path_of(made), json={"name": "New"}),
        await client.put(path_of(made), json={"isPrivate": True}),
        await client.put(path_of(made, f"/members/{person.id}"), json={"role": "MEMBER"}),
        await client.post(path_of(made, "/labels"), json={"name": "Bug"}),
        await client.post(path_of(made, "/statuses"), json={"name": "New", "category": "TODO"}),
        await client.post(path_of(made, "/fields"), json={"name": "New", "kind": "TEXT"}),
    ]
    assert [refusal(one) for one in refused] == [(409, "project_archived")] * 6
    assert await listed(site.owner, archived=True) == await listed(site.owner, status="ARCHIVED") == [made["name"]]
    assert await listed(site.owner, archived=False) == []
    back = await go(site, made, "restore")
    assert (back["status"], back["archivedAt"]) == ("ACTIVE", None)
    again = await client.post(path_of(made, "/restore"))
    assert refusal(again) == (409, "invalid_transition")


async def test_a_deleted_one_is_gone_and_comes_back_whole(site: Site, clock: MovableClock) -> None:
    made = await site.project(description="Kept")
    member = await site.person(Role.MEMBER)
    label = (await site.owner.client.post(path_of(made, "/labels"), json={"name": "Bug"})).json()["label"]
    assert (await site.owner.client.delete(path_of(made))).status_code == 204
    for rest in ("", "/labels", f"/labels/{label['id']}", "/members", "/statuses"):
        assert refusal(await site.owner.client.get(path_of(made, rest))) == (404, "not_found")
    gone = [
        await site.owner.client.delete(path_of(made)),
        await site.owner.client.post(path_of(made, "/start")),
        await site.owner.client.patch(path_of(made), json={"name": "X"}),
        await site.owner.client.post(path_of(made, "/labels"), json={"name": "Other"}),
        await site.owner.client.post(path_of(made, "/copy"), json={"name": "Copy"}),
    ]
    assert [one.status_code for one in gone] == [404] * 5
    assert await listed(site.owner) == []
    assert await listed(site.owner, deleted=True) == [made["name"]]
    assert await listed(member, deleted=True) == []
    clock.advance_business(days=29)
    back = (await site.owner.client.post(path_of(made, "/restore"))).json()["project"]
    assert (back["description"], back["deletedAt"], back["key"]) == ("Kept", None, made["key"])
    assert [one["name"] for one in (await site.owner.client.get(path_of(made, "/labels"))).json()["labels"]] == [
        "Bug"
    ]


async def test_after_thirty_days_nothing_brings_it_back(site: Site, clock: MovableClock) -> None:
    made = await site.project()
    await site.owner.client.delete(path_of(made))
    clock.advance_business(days=30, seconds=1)
    assert refusal(await site.owner.client.post(path_of(made, "/restore"))) == (410, "restore_expired")


async def test_an_archived_one_that_was_deleted_comes_back_archived(site: Site) -> None:
    made = await site.project()
    await go(site, made, "archive")
    await site.owner.client.delete(path_of(made))
    back = await go(site, made, "restore")
    assert (back["status"], back["deletedAt"]) == ("ARCHIVED", None)
    assert (await go(site, made, "restore"))["status"] == "PLANNED"


async def test_of_many_who_archive_at_once_one_does(site: Site) -> None:
    made = await site.project()
    answers = await asyncio.gather(*(site.owner.client.post(path_of(made, "/archive")) for _ in range(8)))
    assert sorted(one.status_code for one in answers) == [200] + [409] * 7


# --- for good --------------------------------------------------------------------------------------------------


async def rows_of(platform: Platform, project: dict[str, Any]) -> dict[str, int]:
    counts = {}
    async with platform.database.reading() as session:
        for table in ("project_statuses", "project_labels", "project_fields", "search_documents"):
            counts[table] = await session.scalar(
                text(f"SELECT count(*) FROM {table} WHERE project_id = :id"), {"id": UUID(project["id"])}
            )
        counts["projects"] = await session.scalar(
            text("SELECT count(*) FROM projects WHERE id = :id"), {"id": UUID(project["id"])}
        )
        counts["scopes"] = await session.scalar(
            text(
                "SELECT count(*) FROM scopes WHERE workspace_id = :workspace"
                " AND id NOT IN (SELECT scope_id FROM projects)"
            ),
            {"workspace": UUID(project["workspaceId"])},
        )
    return {table: count for table, count in counts.items() if count}


async def test_after_thirty_days_nothing_is_left_of_it(site: Site, platform: Platform, clock: MovableClock) -> None:
    old, young, living = [await site.project(name=name) for name in ("Old", "Young", "Living")]
    await site.owner.client.post(path_of(old, "/labels"), json={"name": "Bug"})
    await site.owner.client.post(path_of(old, "/fields"), json={"name": "Size", "kind": "TEXT"})
    await site.owner.client.delete(path_of(old))
    clock.advance_business(days=10)
    await site.owner.client.delete(path_of(young))
    clock.advance_business(days=19, hours=23)
    sweep = PERIODICS["projects.erase_expired"]
    await run_sweep(platform, sweep)
    assert (await rows_of(platform, old))["projects"] == 1  # there is an hour left
    clock.advance_business(hours=1)
    await run_sweep(platform, sweep)
    await run_sweep(platform, sweep)
    assert await rows_of(platform, old) == {}
    assert (await rows_of(platform, young))["projects"] == (await rows_of(platform, living))["projects"] == 1
    assert (await site.owner.client.post(path_of(old, "/restore"))).status_code == 404
    assert (await site.project(key=old["key"]))["key"] == old["key"]


async def test_what_cannot_be_erased_keeps_no_other_from_going(
    site: Site, platform: Platform, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it goes with the next run; in stretches, when there is more than one takes."""
    stuck, other = await site.project(name="Stuck"), await site.project(name="Other")
    for one in (stuck, other):
        await site.owner.client.delete(path_of(one))
    left, is_broken = {UUID(stuck["id"]): 2500}, True

    async def erase(_session: object, _platform: object, project_id: UUID, most: int) -> int:
        if is_broken and project_id == UUID(stuck["id"]):
            raise RuntimeError("not now")
        gone = min(left.get(project_id, 0), most)
        left[project_id] = left.get(project_id, 0) - gone
        return gone

    monkeypatch.setitem(contents._KINDS, "test", Content("test", erase=erase))
    clock.advance_business(days=31)
    await run_sweep(platform, PERIODICS["projects.erase_expired"])
    assert (await rows_of(platform, stuck))["projects"] == 1
    assert await rows_of(platform, other) == {}
    is_broken = False
    await run_sweep(platform, PERIODICS["projects.erase_expired"])
    assert "projects" not in await rows_of(platform, stuck)
    assert left[UUID(stuck["id"])] == 0
