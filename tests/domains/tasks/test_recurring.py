"""Tasks that come again: the calendar's rules, one next task however often this one is done, wall time over DST."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.jobs import PERIODICS, JobContext
from pm_api.core.platform import Platform
from pm_api.domains.tasks import series
from pm_api.domains.tasks.series import Anchor, Mode, Series
from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.domains.tasks.sites import Json, Site, path_of, refusal
from tests.support.clock import MovableClock
from tests.support.kept import kept

WEEKLY = {"rrule": "FREQ=WEEKLY", "timeZone": "Europe/Berlin"}
BY = UUID(int=1)


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    """A database that no other test writes in: the sweep makes what is due of everybody."""
    async with kept() as one:
        yield one.platform


@pytest.fixture
def app(platform: Platform) -> FastAPI:
    return create_app(platform.settings, platform)


@pytest.fixture
def still_clock() -> None:
    """It is put back with the platform."""


async def recur(site: Site, task: Json, by: Person | None = None, **rule: Any) -> httpx.Response:
    return await (by or site.owner).client.put(path_of(task, "/recurrence"), json={**WEEKLY, **rule})


async def recurring(site: Site, project: Json, title: str = "Report", **fields: Any) -> Json:
    rule = {name: fields.pop(name) for name in ("rrule", "timeZone", "anchor", "mode") if name in fields}
    task = await site.task(project, title, **fields)
    answer = await recur(site, task, **rule)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["task"]
    return found


async def others(site: Site, project: Json, task: Json) -> list[Json]:
    return [one for one in await site.listed(projectId=project["id"]) if one["id"] != task["id"]]


async def sweep(platform: Platform) -> None:
    await PERIODICS["tasks.make_recurring"].run(JobContext(platform, "tasks.make_recurring"))


# --- the rules -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        ("Europe/Berlin", datetime.fromisoformat("2026-03-22T09:30"), datetime.fromisoformat("2026-03-29T09:30")),
        ("America/New_York", datetime.fromisoformat("2026-10-25T09:30"), datetime.fromisoformat("2026-11-01T09:30")),
        ("Pacific/Auckland", datetime.fromisoformat("2026-09-20T09:30"), datetime.fromisoformat("2026-09-27T09:30")),
    ],
)
@pytest.mark.parametrize("mode", Mode)
def test_wall_time_is_kept_over_a_change_of_clocks(zone: str, before: datetime, after: datetime, mode: Mode) -> None:
    place = ZoneInfo(zone)
    due = before.replace(tzinfo=place)
    start = due - timedelta(hours=2)
    found = series.begin("FREQ=WEEKLY", zone, Anchor.DUE, mode, due.astimezone(UTC), BY)
    following = series.following(found, due.astimezone(UTC))
    assert following is not None
    dates = series.dates_of_next(
        found, following, series.Dates(None, start.astimezone(UTC), None, due.astimezone(UTC))
    )
    assert dates is not None
    assert dates.due_at is not None
    assert dates.start_at is not None
    assert dates.due_at.astimezone(place).replace(tzinfo=None) == after
    assert dates.start_at.astimezone(place).replace(tzinfo=None) == after - timedelta(hours=2)
    assert dates.due_at - due != timedelta(days=7), "that week has an hour more or less"


def test_a_wall_time_that_is_skipped_comes_back_a_week_later() -> None:
    found = series.begin(
        "FREQ=DAILY", "Europe/Berlin", Anchor.DUE, Mode.ON_SCHEDULE, datetime(2026, 3, 28, 1, 30, tzinfo=UTC), BY
    )
    walls = [one.slot for one in series.ahead(found, datetime(2026, 3, 28, tzinfo=UTC), 2)]
    assert walls == [datetime.fromisoformat("2026-03-29T02:30"), datetime.fromisoformat("2026-03-30T02:30")]
    assert found.instant(walls[0]) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert found.instant(walls[1]) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)


def walk(found: Series, done_at: datetime | None = None) -> list[date]:
    days, present = [found.slot.date()], series.following(found, done_at)
    while present is not None and len(days) < 20:
        days.append(present.slot.date())
        present = series.following(present, present.instant(present.slot) if done_at is not None else None)
    return days


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("ending", ["COUNT=3", "UNTIL=20260316"])
def test_a_series_ends(mode: Mode, ending: str) -> None:
    found = series.begin(f"FREQ=WEEKLY;{ending}", "UTC", Anchor.DUE, mode, date(2026, 3, 2), BY)
    done_at = datetime(2026, 3, 2, 12, tzinfo=UTC) if mode is Mode.AFTER_COMPLETION else None
    assert walk(found, done_at) == [date(2026, 3, 2), date(2026, 3, 9), date(2026, 3, 16)]


def test_after_completion_counts_from_the_day_it_was_done() -> None:
    found = series.begin(
        "FREQ=DAILY;INTERVAL=3", "Asia/Tokyo", Anchor.DUE, Mode.AFTER_COMPLETION, date(2026, 3, 2), BY
    )
    late = series.following(found, datetime(2026, 3, 10, 20, tzinfo=UTC))
    assert late is not None
    assert late.slot.date() == date(2026, 3, 14), "it was the eleventh in Tokyo"
    assert series.makes_next_at(found) is None


def test_when_the_next_one_is_made_by_itself() -> None:
    due = series.begin("FREQ=WEEKLY", "Europe/Berlin", Anchor.DUE, Mode.ON_SCHEDULE, date(2026, 3, 28), BY)
    assert series.makes_next_at(due) == datetime(2026, 3, 28, 23, tzinfo=UTC), "when its day is over"
    starts = series.begin("FREQ=WEEKLY", "Europe/Berlin", Anchor.START, Mode.ON_SCHEDULE, date(2026, 3, 28), BY)
    assert series.makes_next_at(starts) == datetime(2026, 4, 3, 22, tzinfo=UTC), "when the next one starts"


# --- over HTTP -------------------------------------------------------------------------------------------------


async def test_doing_it_makes_the_next_one_with_all_it_had(site: Site) -> None:
    project = await site.project()
    ann = await site.person(Role.MEMBER)
    above = await site.task(project, "Above")
    label = await site.label(project, "Bug")
    task = await site.task(
        project, "Report", description="# how", priority="HIGH", labelIds=[label], assigneeIds=[str(ann.id)],
        parentId=above["id"], estimateMinutes=45, startOn="2026-03-25", dueOn="2026-03-27",
    )  # fmt: skip
    item = await site.owner.client.post(path_of(task, "/checklist"), json={"content": "Ask Bob"})
    assert item.status_code == 201, item.text
    assert (await recur(site, task, rrule="RRULE:FREQ=WEEKLY;BYDAY=FR")).status_code == 200
    done = await site.change(task, status="DONE")
    (made,) = [one for one in await others(site, project, task) if one["id"] != above["id"]]
    same = ("title", "description", "priority", "labels", "assignees", "parentId", "estimateMinutes", "fields")
    assert {name: made[name] for name in same} == {name: done[name] for name in same}
    assert (made["status"], made["startOn"], made["dueOn"]) == ("TODO", "2026-04-01", "2026-04-03")
    assert made["counts"]["checklist"] == 1
    assert made["counts"]["checklistDone"] == 0
    assert made["recurrence"]["position"] == 2
    await site.change(task, status="TODO")
    await site.change(task, status="DONE")
    assert len(await others(site, project, task)) == 2, "once"


async def test_two_completions_at_once_make_one(site: Site) -> None:
    project = await site.project()
    task = await recurring(site, project, dueOn="2026-03-27")
    await asyncio.gather(*(site.owner.client.patch(path_of(task), json={"status": "DONE"}) for _ in range(6)))
    assert len(await others(site, project, task)) == 1


async def test_taking_the_completion_back_takes_the_next_one_back(site: Site) -> None:
    project = await site.project()
    task = await recurring(site, project, dueOn="2026-03-27")
    done = await site.owner.client.patch(path_of(task), json={"status": "DONE"})
    assert len(await others(site, project, task)) == 1
    back = await site.owner.client.post("/api/tasks/undo", json={"undoToken": done.json()["undoToken"]})
    assert back.status_code == 200, back.text
    assert await others(site, project, task) == []
    await site.change(task, status="DONE")
    assert len(await others(site, project, task)) == 1


async def test_by_the_calendar_it_comes_whether_this_one_is_done_or_not(
    site: Site, platform: Platform, clock: MovableClock
) -> None:
    project = await site.project()
    today = clock.now().date()
    task = await recurring(site, project, dueOn=today.isoformat(), rrule="FREQ=DAILY;COUNT=3", timeZone="UTC")
    waits = await recurring(site, project, "Waits", dueOn=today.isoformat(), mode="AFTER_COMPLETION")
    await sweep(platform)
    assert len(await others(site, project, task)) == 1, "its day is not over"
    clock.advance_business(days=1)
    await asyncio.gather(sweep(platform), sweep(platform))
    assert len(await others(site, project, task)) == 2, "once, however many look"
    clock.advance_business(days=30)
    await sweep(platform)
    found = [one for one in await site.listed(projectId=project["id"]) if one["id"] != waits["id"]]
    assert sorted(one["dueOn"] for one in found) == [(today + timedelta(days=n)).isoformat() for n in range(3)]


async def test_an_archived_project_and_a_deleted_task_rest(
    site: Site, platform: Platform, clock: MovableClock
) -> None:
    project = await site.project()
    today = clock.now().date().isoformat()
    gone = await recurring(site, project, "Gone", dueOn=today)
    await site.owner.client.delete(path_of(gone))
    rests = await site.project(name="Rests")
    await recurring(site, rests, "Rests", dueOn=today)
    await site.archive(rests)
    clock.advance_business(days=30)
    await sweep(platform)
    assert await site.listed(projectId=project["id"]) == []
    assert len(await site.listed(projectId=rests["id"])) == 1


async def test_a_deleted_workspace_rests(site: Site, platform: Platform, clock: MovableClock) -> None:
    project = await site.project()
    task = await recurring(site, project, dueOn=clock.now().date().isoformat())
    assert (await site.owner.client.delete(f"/api/workspaces/{site.id}")).status_code == 204
    clock.advance_business(days=10)
    await sweep(platform)
    assert (await site.owner.client.post(f"/api/workspaces/{site.id}/restore")).status_code == 200
    assert await others(site, project, task) == []
    await sweep(platform)
    assert await others(site, project, task) != []


async def test_it_goes_on_when_its_maker_has_left(site: Site, platform: Platform, clock: MovableClock) -> None:
    project = await site.project()
    ann = await site.person(Role.MEMBER)
    task = await site.task(project, "Hers", by=ann, dueOn=clock.now().date().isoformat())
    assert (await recur(site, task, by=ann)).status_code == 200
    member = site.member_ids[ann.id]
    gone = await site.owner.client.delete(f"/api/team/members/{member}")
    assert gone.status_code in (200, 204), gone.text
    clock.advance_business(days=2)
    await sweep(platform)
    (made,) = await others(site, project, task)
    assert made["createdBy"]["id"] == str(site.owner.id)


async def test_a_preview_shows_what_would_come(site: Site) -> None:
    project = await site.project()
    task = await site.task(project, dueAt="2026-03-27T08:00:00Z", timeZone="Europe/Berlin")
    path = path_of(task, "/recurrence/preview")
    assert refusal(await site.owner.client.get(path)) == (404, "task_not_recurring")
    query: Json = {"rrule": "FREQ=DAILY;INTERVAL=2", "timeZone": "Europe/Berlin", "count": 2}
    tried = (await site.owner.client.get(path, params=query)).json()["preview"]
    assert [one["dueAt"] for one in tried["following"]] == ["2026-03-29T07:00:00.000Z", "2026-03-31T07:00:00.000Z"]
    assert tried["text"]
    await recur(site, task)
    own = (await site.owner.client.get(path, params={"count": 1})).json()["preview"]
    assert [one["dueAt"] for one in own["following"]] == ["2026-04-03T07:00:00.000Z"]


async def test_refusals(site: Site, client: httpx.AsyncClient, new_person: Any) -> None:
    project = await site.project()
    bare, task = await site.task(project), await site.task(project, dueOn="2026-03-27")
    path = path_of(task, "/recurrence")
    stranger, viewer, member = await new_person(), await site.person(Role.VIEWER), await site.person(Role.MEMBER)
    assert refusal(await recur(site, bare)) == (422, "recurrence_needs_date")
    assert refusal(await recur(site, task, anchor="start")) == (422, "recurrence_needs_date")
    assert refusal(await recur(site, task, rrule="FREQ=HOURLY")) == (422, "recurrence_frequency_unsupported")
    assert refusal(await recur(site, task, timeZone="Mars/Base")) == (422, "time_zone_unknown")
    assert (await recur(site, task, rrule=1)).status_code == 422
    assert (await client.put(path, json=WEEKLY)).status_code == 401
    assert refusal(await recur(site, task, by=stranger))[0] == 404
    assert refusal(await recur(site, task, by=viewer))[0] == 403
    assert refusal(await recur(site, task, by=member))[0] == 403, "it is neither theirs nor assigned to them"
    assert refusal(await site.owner.client.delete(path)) == (404, "task_not_recurring")
    stale = await site.owner.client.put(path, json=WEEKLY, headers={"If-Match": '"99"'})
    assert stale.status_code == 412
    first = await recur(site, task)
    assert first.headers["ETag"].startswith(f'"{first.json()["task"]["version"]}-')
    again = await recur(site, task)
    assert again.json()["undoToken"] is None
    assert again.json()["task"]["version"] == first.json()["task"]["version"]
    ended = await site.owner.client.delete(path)
    assert ended.json()["task"]["recurrence"] is None
    assert (await client.get(f"{path}/preview")).status_code == 401
    assert (await stranger.client.get(f"{path}/preview")).status_code == 404
    assert (await viewer.client.get(f"{path}/preview", params={"rrule": "FREQ=DAILY"})).status_code == 200


@pytest.mark.parametrize(
    "dates",
    [
        {"startOn": "2026-03-02", "dueOn": "9997-12-31"},
        {"startAt": "2026-03-02T10:00:00Z", "dueAt": "9997-12-31T00:00:00Z"},
    ],
)
async def test_a_series_ends_where_the_calendar_does(site: Site, dates: Json) -> None:
    project = await site.project()
    task = await recurring(site, project, anchor="start", rrule="FREQ=YEARLY;INTERVAL=5", **dates)
    preview = await site.owner.client.get(path_of(task, "/recurrence/preview"))
    assert (preview.status_code, preview.json()["preview"]["following"]) == (200, [])
    await site.change(task, status="DONE")
    assert await others(site, project, task) == []


async def test_one_that_fails_holds_up_nobody(site: Site, platform: Platform, clock: MovableClock) -> None:
    project = await site.project()
    today = clock.now().date().isoformat()
    damaged = await recurring(site, project, "Damaged", dueOn=today)
    sound = await recurring(site, project, "Sound", dueOn=today)
    async with platform.database.transaction() as session:
        spoil = text("UPDATE tasks SET recurrence = '{}' WHERE id = :id")
        await session.execute(spoil, {"id": damaged["id"]})
    try:
        clock.advance_business(days=2)
        await sweep(platform)
        made = [one["title"] for one in await site.listed(projectId=project["id"])]
        assert made.count("Sound") > 1, sound
        assert made.count("Damaged") == 1
    finally:
        async with platform.database.transaction() as session:
            away = text("DELETE FROM task_recurrences WHERE task_id = :id")
            await session.execute(away, {"id": damaged["id"]})
