"""GET and POST /api/notifications: what a person sees of what they were told, and does with it."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from pm_api.core.platform import Platform
from pm_api.domains.notifications import service
from pm_api.domains.notifications.enums import Category
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.notifications.telling import changes_of, listed, path_of, tell, titles, told, unread
from tests.identity.teams import join, make_workspace
from tests.support.clock import MovableClock

STEPS = ("read", "unread", "archive", "snooze")
WAKE = {"until": None}


async def act(person: Person, notification: dict[str, Any], step: str, **arguments: Any) -> dict[str, Any]:
    answer = await person.client.post(path_of(notification, f"/{step}"), **arguments)
    assert answer.status_code == 200, answer.text
    done: dict[str, Any] = answer.json()["notification"]
    assert answer.headers["etag"] == f'"{done["version"]}"'
    return done


async def snooze(person: Person, notification: dict[str, Any], until: Any) -> dict[str, Any]:
    return await act(person, notification, "snooze", json={"until": until and until.isoformat()})


async def read_all(person: Person, up_to: Any) -> dict[str, Any]:
    answer = await person.client.post("/api/notifications/read-all", json={"upTo": up_to})
    assert answer.status_code == 200, answer.text
    done: dict[str, Any] = answer.json()
    return done


# --- who may ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/notifications"),
        ("GET", "/api/notifications/unread-count"),
        ("POST", "/api/notifications/read-all"),
        ("GET", f"/api/notifications/{UUID(int=1)}"),
        *(("POST", f"/api/notifications/{UUID(int=1)}/{step}") for step in STEPS),
    ],
)
async def test_without_a_token_nobody_comes_in(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_what_another_was_told_is_not_there(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    shown = await told(platform, ann)
    answers = [await bob.client.get(path_of(shown))]
    answers += [await bob.client.post(path_of(shown, f"/{step}"), json=WAKE) for step in STEPS]
    answers += [await bob.client.get(f"/api/notifications/{uuid4()}")]
    assert [(one.status_code, one.json()["code"]) for one in answers] == [(404, "not_found")] * 6
    assert (await read_all(bob, shown["id"]))["read"] == 0
    assert await listed(bob) == []
    assert (await listed(ann)) == [shown]


@pytest.mark.parametrize(
    ("step", "body", "code"),
    [
        ("snooze", {}, "validation_failed"),
        ("snooze", {"until": "tomorrow"}, "validation_failed"),
        ("snooze", {"until": "2026-01-01T09:00:00"}, "validation_failed"),
        ("snooze", {"until": None, "for": 1}, "validation_failed"),
        ("snooze", {"until": "2020-01-01T00:00:00Z"}, "invalid_snooze"),
        ("snooze", {"until": "2999-01-01T00:00:00Z"}, "invalid_snooze"),
    ],
)
async def test_a_wrong_snooze_is_refused(platform: Platform, person: Person, step: str, body: Any, code: str) -> None:
    shown = await told(platform, person)
    answer = await person.client.post(path_of(shown, f"/{step}"), json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await listed(person) == [shown]


@pytest.mark.parametrize(
    "body", [{}, {"upTo": None}, {"upTo": 5}, {"upTo": "x"}, {"upTo": str(uuid4()), "all": True}]
)
async def test_a_wrong_bound_is_refused(person: Person, body: Any) -> None:
    answer = await person.client.post("/api/notifications/read-all", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize(
    "query",
    [{"category": "WEATHER"}, {"type": "Not A Type"}, {"workspaceId": "x"}, {"unread": "perhaps"}, {"cursor": "x"}],
)
async def test_a_wrong_filter_is_refused(person: Person, query: dict[str, str]) -> None:
    assert (await person.client.get("/api/notifications", params=query)).status_code == 422


# --- reading ---------------------------------------------------------------------------------------------------


async def test_one_is_got_as_it_is_listed(platform: Platform, person: Person) -> None:
    shown = await told(platform, person)
    answer = await person.client.get(path_of(shown))
    assert answer.status_code == 200
    assert answer.json() == {"notification": shown}
    assert answer.headers["etag"] == '"1"'
    again = await person.client.get(path_of(shown), headers={"If-None-Match": '"1"'})
    assert again.status_code == 304
    assert (await unread(person), await listed(person)) == (1, [shown])  # getting it is not reading it


async def test_filters(platform: Platform, person: Person) -> None:
    place = await make_workspace(person)
    await tell(platform, [person.id], title="a")
    await tell(platform, [person.id], title="b", category=Category.BILLING, type="billing.failed")
    await tell(platform, [person.id], title="c", workspace_id=place["id"])
    first = (await listed(person))[-1]
    await act(person, first, "read")
    assert await titles(person) == ["c", "b", "a"]
    assert await titles(person, unread=True) == ["c", "b"]
    assert await titles(person, unread=False) == ["a"]
    assert await titles(person, category="BILLING") == ["b"]
    assert await titles(person, type="credits.low_balance") == ["c", "a"]
    assert await titles(person, workspaceId=place["id"]) == ["c"]
    assert await titles(person, workspaceId=str(uuid4())) == []
    assert await titles(person, unread=True, category="CREDITS") == ["c"]


async def test_a_walk_meets_each_once_while_others_come_in(platform: Platform, person: Person) -> None:
    for number in range(7):
        await tell(platform, [person.id], title=str(number))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await person.client.get("/api/notifications", params={"limit": 2, "unread": True, **cursor})
        assert answer.status_code == 200, answer.text
        seen += [one["title"] for one in answer.json()["notifications"]]
        if answer.json()["nextCursor"] is None:
            break
        cursor = {"cursor": answer.json()["nextCursor"]}
        await tell(platform, [person.id], title="newer")
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]
    assert (await titles(person))[:3] == ["newer"] * 3


async def test_a_cursor_belongs_to_one_reader_and_its_filters(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    for _ in range(2):
        await tell(platform, [ann.id])
    cursor = (await ann.client.get("/api/notifications", params={"limit": 1})).json()["nextCursor"]
    assert (await ann.client.get("/api/notifications", params={"cursor": cursor})).status_code == 200
    for caller, query in ((bob, {}), (ann, {"unread": "true"}), (ann, {"archived": "true"})):
        answer = await caller.client.get("/api/notifications", params={"cursor": cursor, **query})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_the_count_of_unread_ends_somewhere(
    platform: Platform, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "COUNTED", 3)
    counts = []
    for _ in range(4):
        await tell(platform, [person.id])
        counts.append((await person.client.get("/api/notifications/unread-count")).json())
    assert [tuple(one.values()) for one in counts] == [(1, False), (2, False), (3, False), (3, True)]


async def test_a_removed_member_sees_the_workspaces_no_more(platform: Platform, new_person: NewPerson) -> None:
    owner, member = await new_person(), await new_person()
    place = await make_workspace(owner)
    member_id = await join(platform, place["id"], member, Role.MEMBER)
    await tell(platform, [owner.id, member.id], workspace_id=place["id"], title="of the place")
    await tell(platform, [member.id], title="my own")
    shown = (await listed(member, workspaceId=place["id"]))[0]
    assert (await titles(member), await unread(member)) == (["my own", "of the place"], 2)

    assert (await owner.client.delete(f"/api/team/members/{member_id}")).status_code == 200
    assert (await titles(member), await unread(member)) == (["my own"], 1)
    assert await titles(member, workspaceId=place["id"]) == []
    assert (await member.client.get(path_of(shown))).status_code == 404
    for step in STEPS:
        assert (await member.client.post(path_of(shown, f"/{step}"), json=WAKE)).status_code == 404
    own = (await listed(member))[0]
    assert (await read_all(member, own["id"]))["read"] == 1
    assert (await titles(owner), await unread(owner)) == (["of the place"], 1)

    await join(platform, place["id"], member, Role.MEMBER)
    assert (await titles(member), await unread(member)) == (["my own", "of the place"], 1)


async def test_of_a_deleted_workspace_nothing_is_seen(platform: Platform, person: Person) -> None:
    place = await make_workspace(person)
    await tell(platform, [person.id], workspace_id=place["id"])
    assert await unread(person) == 1
    await person.client.delete(f"/api/workspaces/{place['id']}")
    assert (await listed(person), await unread(person)) == ([], 0)
    await person.client.post(f"/api/workspaces/{place['id']}/restore")
    assert await unread(person) == 1


async def test_who_has_left_a_circle_sees_its_no_more(platform: Platform, person: Person) -> None:
    place = await make_workspace(person)
    scope_id = uuid4()
    async with platform.database.transaction() as session:
        for statement in (
            "INSERT INTO scopes (id, workspace_id) VALUES (:scope, :place)",
            "INSERT INTO scope_members (scope_id, user_id) VALUES (:scope, :person)",
        ):
            values = {"scope": scope_id, "place": place["id"], "person": person.id}
            await session.execute(text(statement), {name: values[name] for name in values if f":{name}" in statement})
    circle = {"workspace_id": place["id"], "scope_id": scope_id}
    await act(person, await told(platform, person, **circle), "read")
    shown = await told(platform, person, **circle)
    assert (await read_all(person, shown["id"]))["read"] == 1
    assert [one["action"] for one in await changes_of(person)] == ["created", "read", "created", "read"]
    async with platform.database.transaction() as session:
        await session.execute(text("DELETE FROM scope_members WHERE scope_id = :scope"), {"scope": scope_id})
    assert (await listed(person), await unread(person), await changes_of(person)) == ([], 0, [])
    assert (await person.client.get(path_of(shown))).status_code == 404


# --- doing something with it -----------------------------------------------------------------------------------


async def test_read_and_unread(platform: Platform, person: Person, clock: MovableClock) -> None:
    shown = await told(platform, person)
    done = await act(person, shown, "read")
    assert done["readAt"] is not None
    assert (done["version"], await unread(person)) == (2, 0)
    clock.shift_to(timedelta(hours=1))
    assert await act(person, shown, "read") == done  # the first reading counts
    undone = await act(person, shown, "unread")
    assert (undone["readAt"], undone["version"], await unread(person)) == (None, 3, 1)
    assert await act(person, shown, "unread") == undone
    changes = await changes_of(person)
    assert [(one["action"], one["version"]) for one in changes] == [("created", 1), ("read", 2), ("unread", 3)]
    assert [one["actorUserId"] for one in changes] == [None, str(person.id), str(person.id)]


async def test_an_archived_one_is_put_away(platform: Platform, person: Person, clock: MovableClock) -> None:
    shown = await told(platform, person)
    await snooze(person, shown, clock.now() + timedelta(hours=1))
    done = await act(person, shown, "archive")
    assert done["archivedAt"] is not None
    assert (done["snoozedUntil"], done["readAt"], done["version"]) == (None, None, 3)
    assert (await listed(person), await unread(person)) == ([], 0)
    assert await listed(person, archived=True) == [done]
    assert await act(person, shown, "archive") == done
    assert (await person.client.get(path_of(shown))).json() == {"notification": done}


async def test_a_sleeping_one_comes_back_at_its_time(platform: Platform, person: Person, clock: MovableClock) -> None:
    shown = await told(platform, person, title="sleeper")
    await tell(platform, [person.id], title="newer")
    done = await snooze(person, shown, clock.now() + timedelta(hours=1))
    assert (done["version"], await titles(person), await unread(person)) == (2, ["newer"], 1)
    assert await titles(person, snoozed=True) == ["sleeper"]
    assert (await person.client.get(path_of(shown))).json() == {"notification": done}
    clock.shift_to(timedelta(minutes=59))
    assert await titles(person) == ["newer"]
    clock.shift_to(timedelta(minutes=61))
    assert (await titles(person), await unread(person)) == (["newer", "sleeper"], 2)
    assert await titles(person, snoozed=True) == []


async def test_a_sleeping_one_can_be_woken_and_an_archived_one_put_to_sleep(
    platform: Platform, person: Person, clock: MovableClock
) -> None:
    shown = await told(platform, person)
    later = clock.now() + timedelta(hours=1)
    asleep = await snooze(person, shown, later)
    assert await snooze(person, shown, later) == asleep
    woken = await snooze(person, shown, None)
    assert (woken["snoozedUntil"], woken["version"], await unread(person)) == (None, 3, 1)
    await act(person, shown, "archive")
    asleep = await snooze(person, shown, clock.now() + timedelta(days=365))
    assert (asleep["archivedAt"], await listed(person, archived=True)) == (None, [])
    assert await listed(person, snoozed=True) == [asleep]
    actions = [one["action"] for one in await changes_of(person)]
    assert actions == ["created", "snoozed", "woken", "archived", "snoozed"]


@pytest.mark.parametrize("step", STEPS)
async def test_who_read_an_older_version_is_told_so(
    platform: Platform, person: Person, clock: MovableClock, step: str
) -> None:
    shown = await told(platform, person)
    await act(person, shown, "read")
    body = {"until": (clock.now() + timedelta(hours=1)).isoformat()}
    stale = await person.client.post(path_of(shown, f"/{step}"), json=body, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert (await listed(person))[0]["version"] == 2
    wrong = await person.client.post(path_of(shown, f"/{step}"), json=body, headers={"If-Match": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_if_match")
    fresh = await person.client.post(path_of(shown, f"/{step}"), json=body, headers={"If-Match": '"2"'})
    assert fresh.status_code == 200


async def test_of_ten_with_one_version_one_is_first(platform: Platform, person: Person) -> None:
    shown = await told(platform, person)
    answers = await asyncio.gather(
        *(
            person.client.post(path_of(shown, f"/{step}"), headers={"If-Match": '"1"'})
            for step in ("read", "archive") * 5
        )
    )
    assert sorted(one.status_code for one in answers) == [200] + [412] * 9
    assert [one["version"] for one in await changes_of(person)] == [1, 2]


async def test_a_key_is_answered_twice_and_works_once(platform: Platform, person: Person) -> None:
    shown = await told(platform, person)
    headers = {"Idempotency-Key": uuid4().hex}
    first = await person.client.post(path_of(shown, "/read"), headers=headers)
    await act(person, shown, "unread")
    second = await person.client.post(path_of(shown, "/read"), headers=headers)
    assert second.headers["idempotent-replayed"] == "true"
    assert (first.json(), first.headers["etag"]) == (second.json(), second.headers["etag"])
    assert await unread(person) == 1


# --- read all --------------------------------------------------------------------------------------------------


async def test_what_came_after_the_bound_stays_unread(platform: Platform, person: Person) -> None:
    for title in ("a", "b", "c"):
        await tell(platform, [person.id], title=title)
    bound = (await listed(person))[1]
    assert bound["title"] == "b"
    assert await read_all(person, bound["id"]) == {"read": 2, "hasMore": False}
    assert await titles(person, unread=True) == ["c"]
    assert await read_all(person, bound["id"]) == {"read": 0, "hasMore": False}
    assert {one["version"] for one in await listed(person, unread=False)} == {2}
    read = [one for one in await changes_of(person) if one["action"] == "read"]
    assert [(one["version"], one["actorUserId"]) for one in read] == [(2, str(person.id))] * 2


async def test_the_time_shown_of_one_reaches_that_one(
    platform: Platform, person: Person, clock: MovableClock
) -> None:
    """It is shown in milliseconds, and kept in microseconds."""
    await tell(platform, [person.id], title="a")
    clock.shift_to(timedelta(minutes=1))
    await tell(platform, [person.id], title="b")
    assert [(await read_all(person, one["createdAt"]))["read"] for one in reversed(await listed(person))] == [1, 1]
    assert await unread(person) == 0


async def test_one_call_does_so_much(platform: Platform, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "READ_A_CALL", 2)
    for title in ("a", "b", "c", "d", "e"):
        await tell(platform, [person.id], title=title)
    bound = (await listed(person))[1]["id"]
    assert await read_all(person, bound) == {"read": 2, "hasMore": True}
    assert await titles(person, unread=True) == ["e", "d", "c"]
    assert await read_all(person, bound) == {"read": 2, "hasMore": False}
    assert await titles(person, unread=True) == ["e"]


async def test_what_is_out_of_sight_stays_unread(platform: Platform, person: Person, clock: MovableClock) -> None:
    for title in ("asleep", "archived", "seen"):
        await tell(platform, [person.id], title=title)
    seen, archived, asleep = await listed(person)
    await act(person, archived, "archive")
    await snooze(person, asleep, clock.now() + timedelta(hours=1))
    assert (await read_all(person, seen["id"]))["read"] == 1
    clock.shift_to(timedelta(hours=2))
    assert await titles(person, unread=True) == ["asleep"]
    assert await titles(person, unread=True, archived=True) == ["archived"]


async def test_two_at_once_read_each_one_time(platform: Platform, person: Person) -> None:
    for _ in range(30):
        await tell(platform, [person.id])
    bound = (await listed(person))[0]["id"]
    done = await asyncio.gather(*(read_all(person, bound) for _ in range(6)))
    assert sum(one["read"] for one in done) == 30
    assert {one["version"] for one in await listed(person)} == {2}
    assert len([one for one in await changes_of(person) if one["action"] == "read"]) == 30
