"""Many events at once: all or what can be, told before it is done, and nobody's event by way of somebody else's."""

import asyncio
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from pm_api.core.platform import Platform
from pm_api.domains.calendar.schemas.bulk import MOST
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Diary, Json, key, open_diary, path_of, refusal
from tests.domains.calendar.test_following import everything

SECOND: Final = "20260309T130000Z"
THIRD: Final = "20260316T130000Z"


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def bulk(diary: Diary, *items: Json, by: Person | None = None, **body: Any) -> httpx.Response:
    sent = {"workspaceId": diary.id, "items": list(items), **body}
    return await (by or diary.owner).client.post("/api/calendar/events/bulk", json=sent)


async def done(answer: httpx.Response) -> Json:
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


def create(diary: Diary, title: str = "New", **fields: Any) -> Json:
    return {"action": "create", "event": diary.body(title=title, **fields)}


def update(event_id: str, scope: str | None = None, version: int | None = None, **change: Any) -> Json:
    return {"action": "update", "id": event_id, "scope": scope, "version": version, "change": change}


def delete(event_id: str, scope: str | None = None, version: int | None = None) -> Json:
    return {"action": "delete", "id": event_id, "scope": scope, "version": version}


def outcomes(told: Json) -> list[str]:
    return [one["outcome"] for one in told["results"]]


def codes(told: Json) -> list[str | None]:
    return [one["problem"] and one["problem"]["code"] for one in told["results"]]


async def test_all_three_in_one(diary: Diary) -> None:
    old, gone, series = await diary.event(title="Old"), await diary.event(title="Gone"), await diary.series()
    told = await done(
        await bulk(
            diary,
            create(diary, "New"),
            update(old["id"], title="Renamed"),
            delete(gone["id"]),
            delete(key(series["id"], SECOND)),
            update(key(series["id"], THIRD), "following", title="Later"),
        )
    )
    assert outcomes(told) == ["CREATED", "CHANGED", "DELETED", "DELETED", "CHANGED"]
    assert (told["changed"], told["failed"], told["dryRun"]) == (5, 0, False)
    made, renamed = told["results"][0], told["results"][1]
    assert await diary.read(made["id"]) == made["event"]
    assert await diary.read(old["id"]) == renamed["event"]
    assert renamed["changes"] == [{"field": "title", "old": "Old", "new": "Renamed"}]
    assert (await diary.owner.client.get(path_of(gone["id"]))).status_code == 404
    shown = [one for one in await diary.shown("2026-02-01T00:00:00Z", "2026-07-01T00:00:00Z") if one["seriesId"]]
    assert [one["title"] for one in shown] == ["Standup"] + ["Later"] * 8
    assert told["results"][4]["event"]["previousSeriesId"] == series["id"]


async def test_a_dry_run_says_what_the_run_does_and_leaves_nothing(diary: Diary) -> None:
    old, series = await diary.event(title="Old"), await diary.series()
    before = await everything(diary.platform)
    items = [
        create(diary, "New"),
        update(old["id"], title="Renamed"),
        update(old["id"], title="Renamed"),
        delete(key(series["id"], SECOND), "following"),
        update(series["id"], title="Short"),
        delete(old["id"]),
    ]
    told = await done(await bulk(diary, *items, dryRun=True))
    assert (outcomes(told), told["dryRun"]) == (
        ["CREATED", "CHANGED", "CHANGED", "DELETED", "CHANGED", "DELETED"],
        True,
    )
    short = told["results"][4]
    assert {one["field"]: one["new"] for one in short["changes"]}["title"] == "Short"
    assert await everything(diary.platform) == before
    assert outcomes(await done(await bulk(diary, *items))) == outcomes(told)


async def test_a_split_is_told_and_names_nothing_that_is_not_there(diary: Diary) -> None:
    """As the dry run of the one route tells it: the old series shorter, the new one, and what was named."""
    zeros = "00000000-0000-0000-0000-000000000000"
    series = await diary.series()
    third = key(series["id"], THIRD)
    items = [update(third, "following", title="Later"), create(diary, "New")]
    dry = await done(await bulk(diary, *items, dryRun=True))
    run = await done(await bulk(diary, *items))
    new_id = run["results"][0]["event"]["seriesId"]
    assert run["results"][0]["id"] == run["results"][0]["event"]["id"] == key(new_id, THIRD)
    assert (dry["results"][0]["id"], dry["results"][1]["id"]) == (third, None)
    assert dry["results"][0]["event"]["id"] == key(zeros, THIRD)
    assert dry["results"][1]["event"]["id"] == zeros
    for told, new in ((dry, zeros), (run, new_id)):
        split = told["results"][0]
        changes = {one["field"]: (one["old"], one["new"]) for one in split["changes"]}
        assert changes["title"] == ("Standup", "Later")
        assert changes["previousSeriesId"] == (None, series["id"])
        old, named, made = split["differences"]
        assert (old["id"], old["outcome"]) == (series["id"], "CHANGED")
        assert {one["field"]: one["new"] for one in old["changes"]}["rrule"] == "FREQ=WEEKLY;COUNT=2;BYDAY=MO"
        assert (named["id"], named["outcome"], named["event"]) == (third, "DELETED", None)
        assert (made["id"], made["outcome"]) == (new, "CREATED")
        assert (made["event"]["title"], made["event"]["previousSeriesId"]) == ("Later", series["id"])
        assert "COUNT=8" in made["event"]["rrule"]
    gone = await done(await bulk(diary, delete(key(new_id, "20260323T130000Z"), "following"), dryRun=True))
    [shorter, named] = gone["results"][0]["differences"]
    assert (shorter["id"], shorter["outcome"], named["outcome"]) == (new_id, "CHANGED", "DELETED")
    assert "COUNT=8" in (await diary.read(new_id))["rrule"]


async def test_what_changes_nothing_is_unchanged(diary: Diary) -> None:
    old = await diary.event(title="Old")
    told = await done(await bulk(diary, update(old["id"], title="Old")))
    assert (outcomes(told), told["changed"]) == (["UNCHANGED"], 0)
    assert (await diary.read(old["id"]))["version"] == old["version"]


async def test_who_may_is_asked_of_all_before_any_is_done(diary: Diary) -> None:
    ann, bob = await diary.person(Role.MEMBER), await diary.person(Role.MEMBER)
    hers, his = await diary.event(ann, title="hers"), await diary.event(bob, title="his")
    items = [create(diary, "New"), update(hers["id"], title="x"), update(his["id"], title="x"), delete(his["id"])]
    before = await everything(diary.platform)
    refused = await bulk(diary, *items, by=ann)
    assert refusal(refused) == (403, "bulk_events_forbidden")
    assert refused.json()["items"] == [2, 3]
    assert await everything(diary.platform) == before
    told = await done(await bulk(diary, *items, by=ann, mode="PARTIAL"))
    assert outcomes(told) == ["CREATED", "CHANGED", "FAILED", "FAILED"]
    assert codes(told) == [None, None, "event_not_yours", "event_not_yours"]
    assert (told["changed"], told["failed"]) == (2, 2)
    problem = told["results"][2]["problem"]
    assert problem["status"] == 403
    assert problem["type"] == "/problems/event_not_yours"
    assert (await diary.read(his["id"]))["title"] == "his"


async def test_what_is_not_there_or_not_in_sight(diary: Diary) -> None:
    private = await diary.project(isPrivate=True)
    hidden = await diary.event(title="hidden", projectId=private["id"])
    ann = await diary.person(Role.ADMIN)
    hers = await diary.event(ann, title="hers")
    elsewhere = await open_diary(diary.platform, diary.new_person)
    foreign = await elsewhere.event()
    named = [hidden["id"], foreign["id"], str(uuid4()), "nonsense", f"{uuid4()}_20260101T000000Z"]
    items = [update(hers["id"], title="x"), *(update(one, title="x") for one in named)]
    refused = await bulk(diary, *items, by=ann)
    assert refusal(refused) == (404, "bulk_events_not_found")
    assert (refused.json()["eventIds"], refused.json()["items"]) == (named, [1, 2, 3, 4, 5])
    assert (await diary.read(hers["id"], ann))["title"] == "hers"
    told = await done(await bulk(diary, *items, by=ann, mode="PARTIAL"))
    assert codes(told) == [None, *["event_not_found"] * 5]
    into = await bulk(diary, create(diary, projectId=private["id"]), by=ann)
    assert (into.status_code, into.json()["item"]) == (404, 0)


async def test_atomic_does_nothing_when_one_fails_on_the_way(diary: Diary) -> None:
    old, series = await diary.event(title="Old"), await diary.series()
    items = [
        update(old["id"], title="x"),
        create(diary, "New"),
        update(series["id"], rrule="FREQ=MONTHLY;BYMONTHDAY=30;BYMONTH=2"),
    ]
    before = await everything(diary.platform)
    refused = await bulk(diary, *items)
    assert refusal(refused) == (422, "recurrence_rule_empty")
    assert refused.json()["item"] == 2
    assert await everything(diary.platform) == before
    told = await done(await bulk(diary, *items, mode="PARTIAL"))
    assert codes(told) == [None, None, "recurrence_rule_empty"]
    assert (await diary.read(series["id"]))["version"] == series["version"], "half of a failed item is not there"


async def test_a_stale_version_is_not_touched(diary: Diary) -> None:
    one, other = await diary.event(), await diary.event()
    await diary.patch(one["id"], title="Newer")
    items = [update(other["id"], version=1, title="x"), update(one["id"], version=1, title="x")]
    refused = await bulk(diary, *items)
    assert refusal(refused) == (412, "precondition_failed")
    assert refused.json()["item"] == 1
    told = await done(await bulk(diary, *items, mode="PARTIAL"))
    assert codes(told) == [None, "precondition_failed"]
    again = [update(one["id"], version=2, title="y"), update(one["id"], version=2, title="z")]
    assert outcomes(await done(await bulk(diary, *again))) == ["CHANGED", "CHANGED"], "of before all, not in between"
    assert (await diary.read(one["id"]))["title"] == "z"


async def test_what_an_item_before_took_away_is_gone(diary: Diary) -> None:
    one = await diary.event()
    told = await done(await bulk(diary, delete(one["id"]), update(one["id"], title="x"), mode="PARTIAL"))
    assert codes(told) == [None, "event_not_found"]
    other = await diary.event()
    refused = await bulk(diary, delete(other["id"]), delete(other["id"]))
    assert refusal(refused) == (404, "event_not_found")
    assert refused.json()["item"] == 1
    await diary.read(other["id"])


async def test_archived_projects_are_read_only(diary: Diary) -> None:
    project = await diary.project()
    one, other = await diary.event(projectId=project["id"]), await diary.event()
    answer = await diary.owner.client.post(f"/api/projects/{project['id']}/archive")
    assert answer.status_code == 200, answer.text
    told = await done(
        await bulk(
            diary,
            update(one["id"], title="x"),
            create(diary, projectId=project["id"]),
            update(other["id"], projectId=project["id"]),
            mode="PARTIAL",
        )
    )
    assert codes(told) == ["project_archived"] * 3


async def test_the_gate(diary: Diary) -> None:
    viewer, stranger = await diary.person(Role.VIEWER), await diary.new_person()
    assert (await bulk(diary, create(diary), by=viewer)).status_code == 403
    assert refusal(await bulk(diary, create(diary), by=stranger)) == (404, "workspace_not_found")
    body = {"workspaceId": diary.id, "items": [create(diary)]}
    async with httpx.AsyncClient(
        transport=diary.owner.client._transport, base_url=diary.owner.client.base_url
    ) as nobody:
        assert (await nobody.post("/api/calendar/events/bulk", json=body)).status_code == 401


async def test_bad_bodies(diary: Diary) -> None:
    other = await open_diary(diary.platform, diary.new_person)
    one = await diary.event()
    bad: list[list[Any]] = [
        [],
        [create(diary)] * (MOST + 1),
        [{"action": "explode", "id": one["id"]}],
        [{"id": one["id"]}],
        [create(other)],
        [{**update(one["id"], title="x"), "event": {}}],
        [update(one["id"], colour="red")],
        [update(one["id"], title="")],
        [{"action": "update", "id": one["id"], "scope": "some", "change": {"title": "x"}}],
        [{"action": "delete", "id": one["id"], "version": "1"}],
        [{"action": "delete", "id": "x" * 101}],
        [None],
        ["create"],
    ]
    for items in bad:
        refused = await bulk(diary, *items)
        assert refused.status_code == 422, (items[:1], refused.text)
    assert (await bulk(diary, update(one["id"], title="x"), mode="SOME")).status_code == 422
    assert (await bulk(diary, update(one["id"], title="x"), dryRun="yes")).status_code == 422
    assert (await diary.read(one["id"]))["title"] == "Standup"


async def test_the_same_key_does_it_once(diary: Diary) -> None:
    body = {"workspaceId": diary.id, "items": [create(diary, "Once")]}
    headers = {"Idempotency-Key": str(uuid4())}
    client = diary.owner.client
    answers = [await client.post("/api/calendar/events/bulk", json=body, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    shown = await diary.shown("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")
    assert [one["title"] for one in shown] == ["Once"]


async def test_two_hundred_at_once(diary: Diary) -> None:
    told = await done(await bulk(diary, *(create(diary, f"No. {number}") for number in range(MOST))))
    assert (outcomes(told), told["changed"]) == (["CREATED"] * MOST, MOST)
    shown = await diary.shown("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")
    assert {one["id"] for one in shown} == {one["id"] for one in told["results"]}


async def test_of_many_in_every_order_none_waits_for_another(diary: Diary) -> None:
    """Each batch names the same events in another order: whoever held one and waited for the next would be stuck."""
    made = [await diary.event(title=f"No. {number}") for number in range(6)]

    async def rename(number: int) -> httpx.Response:
        turned = made[number:] + made[:number]
        items = [update(one["id"], title=f"by {number}") for one in (turned if number % 2 else turned[::-1])]
        return await bulk(diary, *items)

    answers = await asyncio.gather(*(rename(number) for number in range(6)))
    assert [one.status_code for one in answers] == [200] * 6, [one.text for one in answers]
    titles = {(await diary.read(one["id"]))["title"] for one in made}
    assert len(titles) == 1, "a batch is one transaction"
    assert {(await diary.read(one["id"]))["version"] for one in made} == {7}


async def test_zones_that_nobody_used_before_in_every_order(diary: Diary) -> None:
    """What clocks of a zone do is noted with its first event: whoever noted one and waited for the next would be
    stuck.
    """
    await diary.event(title="The first")  # the calendar is there, and nobody waits for that
    zones = ["Africa/Abidjan", "America/Bogota", "Asia/Dhaka", "Europe/Oslo", "Indian/Mahe", "Pacific/Apia"]

    async def make(number: int) -> httpx.Response:
        turned = zones[number:] + zones[:number]
        wanted = turned if number % 2 else turned[::-1]
        return await bulk(diary, *(create(diary, f"by {number}", timeZone=one) for one in wanted))

    answers = await asyncio.gather(*(make(number) for number in range(6)))
    assert [one.status_code for one in answers] == [200] * 6, [one.text for one in answers]
