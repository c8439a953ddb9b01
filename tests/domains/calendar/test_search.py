"""Events in search: found by who sees what they are, and by nobody else."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from pm_api.core.platform import Platform
from pm_api.domains.search.models import SearchDocument
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Diary, Json, key, open_diary


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def found(person: Person, question: str, **query: Any) -> list[Json]:
    answer = await person.client.get("/api/search", params={"q": question, **query})
    assert answer.status_code == 200, answer.text
    results: list[Json] = answer.json()["results"]
    return results


async def ids(person: Person, question: str, **query: Any) -> list[str]:
    return [one["id"] for one in await found(person, question, **query)]


async def documents(platform: Platform, event: Json) -> int:
    async with platform.database.reading() as session:
        rows = await session.scalars(select(SearchDocument).where(SearchDocument.entity_id == UUID(event["id"])))
        return len(rows.all())


async def test_an_event_is_found_by_its_words_as_they_are_now(diary: Diary) -> None:
    word = f"w{uuid4().hex[:10]}"
    made = await diary.event(title=f"Planning {word}", description="With **cake**", location="Lighthouse")
    [one] = await found(diary.owner, word)
    assert (one["kind"], one["id"], one["url"]) == ("event", made["id"], f"/calendar/events/{made['id']}")
    assert one["title"] == f"Planning {word}"
    assert await ids(diary.owner, f"{word} cake lighthouse", kinds="event") == [made["id"]]
    assert await ids(diary.owner, word, kinds="task") == []
    await diary.patch(made["id"], title="Planning", location="")
    assert await ids(diary.owner, word) == []
    assert await ids(diary.owner, "planning cake", workspaceId=diary.id) == [made["id"]]
    assert await ids(diary.owner, "lighthouse", workspaceId=diary.id) == []
    await diary.delete(made["id"])
    assert await ids(diary.owner, "planning cake", workspaceId=diary.id) == []


async def test_a_series_is_found_by_what_one_occurrence_says(diary: Diary, platform: Platform) -> None:
    made = await diary.series()
    at = key(made["id"], "20260309T130000Z")
    await diary.patch(at, query={"scope": "this"}, title="Farewell")
    assert await ids(diary.owner, "farewell", workspaceId=diary.id) == [made["id"]]
    await diary.delete(at, scope="this")
    assert await ids(diary.owner, "farewell", workspaceId=diary.id) == []
    assert await documents(platform, made) == 1
    rest = await diary.patch(key(made["id"], "20260330T130000Z"), query={"scope": "following"}, title="Afterwards")
    assert await ids(diary.owner, "afterwards", workspaceId=diary.id) == [rest["event"]["id"].partition("_")[0]]


@pytest.mark.parametrize("visibility", ["PRIVATE", "CONFIDENTIAL"])
async def test_what_is_busy_to_others_is_found_by_nobody(diary: Diary, platform: Platform, visibility: str) -> None:
    admin = await diary.person(Role.ADMIN)
    made = await diary.event(title="Doctor", visibility=visibility)
    assert await documents(platform, made) == 0
    assert await ids(admin, "doctor", workspaceId=diary.id) == []
    await diary.patch(made["id"], visibility="DEFAULT")
    assert await ids(admin, "doctor", workspaceId=diary.id) == [made["id"]]
    await diary.patch(made["id"], visibility=visibility)
    assert await documents(platform, made) == 0
    assert await ids(admin, "doctor", workspaceId=diary.id) == []


async def test_who_does_not_see_the_calendar_finds_nothing_of_it(diary: Diary) -> None:
    member, guest = await diary.person(Role.MEMBER), await diary.person(Role.GUEST)
    hidden, opened = await diary.project(isPrivate=True), await diary.project(name="Open")
    at_home = await diary.event(title="Gathering at home")
    secret = await diary.event(title="Gathering in secret", projectId=hidden["id"])
    public = await diary.event(title="Gathering in public", projectId=opened["id"])
    asked = {"workspaceId": diary.id, "kinds": "event"}
    assert set(await ids(diary.owner, "gathering", **asked)) == {at_home["id"], secret["id"], public["id"]}
    assert set(await ids(member, "gathering", **asked)) == {at_home["id"], public["id"]}
    assert await ids(guest, "gathering", **asked) == []
    await diary.put(hidden, guest, "VIEWER")
    assert await ids(guest, "gathering", **asked) == [secret["id"]]
    assert await ids(diary.owner, "gathering", projectId=hidden["id"]) == [secret["id"]]
    await diary.owner.client.delete(f"/api/projects/{hidden['id']}")
    assert await ids(guest, "gathering", **asked) == []


async def test_a_key_finds_events_when_it_may_read_them(diary: Diary) -> None:
    made = await diary.event(title="Planning")
    for scopes, seen in ((["search:read"], []), (["search:read", "calendar:read"], [made["id"]])):
        answer = await diary.owner.client.post(
            "/api/api-keys", json={"name": "Reader", "workspaceId": diary.id, "scopes": scopes}
        )
        assert answer.status_code == 201, answer.text
        result = await diary.owner.client.get(
            "/api/search",
            params={"q": "planning", "workspaceId": diary.id},
            headers={"Authorization": f"Bearer {answer.json()['token']}"},
        )
        assert [one["id"] for one in result.json()["results"]] == seen
