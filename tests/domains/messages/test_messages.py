"""/api/messages: what is said, changed and taken back."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import event, text

from pm_api.core.platform import Platform
from tests.conftest import NewPerson, Person
from tests.domains.messages.talking import (
    NOWHERE,
    Json,
    a_group,
    a_place,
    bodies,
    create,
    direct,
    got,
    listed,
    message_path,
    refusal,
    say,
    some_people,
    try_to_say,
)

THUMB = "/reactions/👍"
OF_ONE = [
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("GET", "/history"),
    ("PUT", THUMB),
    ("DELETE", THUMB),
]
ROUTES = [
    ("POST", "/api/messages"),
    ("GET", "/api/messages"),
    *((method, f"/api/messages/{NOWHERE}{step}") for method, step in OF_ONE),
]
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "'; DROP TABLE messages; --",
    "\u202eevil\u202c",
    "{{7*7}} ${jndi:ldap://x} %s %n",
    "a\r\nb\tc",
    "e\u0301\u200d👩‍💻",
    "\\",
    "🐘" * 20_000,
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_a_token_nobody_comes_in(client: httpx.AsyncClient, method: str, path: str) -> None:
    assert refusal(await client.request(method, path)) == (401, "unauthorized")


@pytest.mark.parametrize(("method", "step"), OF_ONE)
async def test_a_message_of_others_is_not_there(
    platform: Platform, new_person: NewPerson, method: str, step: str
) -> None:
    ann, bob, cid = await some_people(new_person, "Ann", "Bob", "Cid")
    place = await a_place(platform, ann, bob, cid)
    said = await say(bob, await direct(bob, place, cid))
    body = {"body": "Other"} if method == "PATCH" else None
    for one in (ann, await new_person()):
        assert refusal(await one.client.request(method, message_path(said, step), json=body)) == (404, "not_found")
    gone = f"/api/messages/{uuid4()}{step}"
    assert refusal(await bob.client.request(method, gone, json=body)) == (404, "not_found")
    assert refusal(await ann.client.get("/api/messages", params={"conversationId": said["conversationId"]})) == (
        404,
        "not_found",
    )
    assert refusal(await try_to_say(ann, {"id": said["conversationId"]})) == (404, "not_found")


async def test_what_is_said_is_numbered_and_read(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    group = await a_group(ann, await a_place(platform, ann, bob), bob)
    first, second = await say(ann, group, "One"), await say(bob, group, "**Two**", mentions=[str(ann.id)])
    assert (first["number"], second["number"]) == (1, 2)
    assert second["author"] == {"id": str(bob.id), "name": "Bob", "avatar": None}
    assert second["mentions"] == [{"id": str(ann.id), "name": "Ann", "avatar": None}]
    assert (await listed(ann, group))["messages"] == [second, first]
    answer = await ann.client.get(message_path(second))
    assert answer.json() == {"message": second}
    again = await ann.client.get(message_path(second), headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert (await got(ann, group))["lastNumber"] == 2


@pytest.mark.parametrize("said", HOSTILE)
async def test_hostile_text_is_kept_as_it_is(platform: Platform, person: Person, said: str) -> None:
    group = await a_group(person, await a_place(platform, person))
    assert (await say(person, group, said))["body"] == said
    assert await bodies(person, group) == [said]


@pytest.mark.parametrize(
    "change",
    [
        {"body": ""},
        {"body": " \n\t"},
        {"body": "x" * 20_001},
        {"body": "x" * (1 << 20)},
        {"body": "a\u0000b"},
        {"body": None},
        {"body": 5},
        {"mentions": ["x"]},
        {"mentions": [str(uuid4()) for _ in range(21)]},
        {"parentId": "x"},
        {"number": 7},
    ],
)
async def test_a_wrong_message_is_refused(platform: Platform, person: Person, change: Json) -> None:
    group = await a_group(person, await a_place(platform, person))
    body = {"conversationId": group["id"], "body": "Ready?", **change}
    answer = await person.client.post("/api/messages", json=body)
    assert answer.status_code in (413, 422)
    assert await bodies(person, group) == []


async def test_a_lone_surrogate_is_refused(platform: Platform, person: Person) -> None:
    group = await a_group(person, await a_place(platform, person))
    body = json.dumps({"conversationId": group["id"], "body": "\ud800"}).encode()
    answer = await person.client.post("/api/messages", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert await bodies(person, group) == []


async def test_a_message_sent_twice_under_one_key_is_said_once(platform: Platform, person: Person) -> None:
    group = await a_group(person, await a_place(platform, person))
    body, key = {"conversationId": group["id"], "body": "Once"}, {"Idempotency-Key": uuid4().hex}
    answers = [await person.client.post("/api/messages", json=body, headers=key) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert await bodies(person, group) == ["Once"]


async def test_what_is_refused_takes_no_number(platform: Platform, new_person: NewPerson) -> None:
    ann, stranger = await some_people(new_person, "Ann", "Sid")
    place = await a_place(platform, ann)
    group, other = await a_group(ann, place), await a_group(ann, place)
    elsewhere = await say(ann, other)
    for fields, code in (
        ({"parentId": str(uuid4())}, "invalid_parent"),
        ({"parentId": elsewhere["id"]}, "invalid_parent"),
        ({"mentions": [str(stranger.id)]}, "invalid_mention"),
    ):
        assert refusal(await try_to_say(ann, group, **fields)) == (422, code)
    assert (await say(ann, group))["number"] == 1


# --- pages -----------------------------------------------------------------------------------------------------


async def test_pages_go_both_ways_and_meet(platform: Platform, person: Person) -> None:
    group = await a_group(person, await a_place(platform, person))
    said = [await say(person, group, str(number)) for number in range(1, 12)]
    newest = await listed(person, group, limit=4)
    assert ([one["number"] for one in newest["messages"]], newest["newerCursor"]) == ([11, 10, 9, 8], None)
    middle = await listed(person, group, limit=4, around=said[4]["id"])
    assert [one["number"] for one in middle["messages"]] == [7, 6, 5, 4]
    numbers = [7, 6, 5, 4]
    cursor = middle["nextCursor"]
    while cursor is not None:
        page = await listed(person, group, limit=4, cursor=cursor)
        numbers += [one["number"] for one in page["messages"]]
        cursor = page["nextCursor"]
    cursor = middle["newerCursor"]
    while cursor is not None:
        page = await listed(person, group, limit=3, cursor=cursor)
        numbers = [one["number"] for one in page["messages"]] + numbers
        cursor = page["newerCursor"]
    assert numbers == list(range(11, 0, -1))
    first = await listed(person, group, around=said[0]["id"], limit=1)
    assert ([one["number"] for one in first["messages"]], first["nextCursor"]) == ([1], None)
    last = await listed(person, group, around=said[10]["id"], limit=2)
    assert ([one["number"] for one in last["messages"]], last["newerCursor"]) == ([11, 10], None)


async def test_a_walk_misses_nothing_that_comes_meanwhile(platform: Platform, person: Person) -> None:
    group = await a_group(person, await a_place(platform, person))
    for number in range(1, 6):
        await say(person, group, str(number))
    page = await listed(person, group, limit=2)
    numbers = [one["number"] for one in page["messages"]]
    while page["nextCursor"]:
        await say(person, group, "meanwhile")
        page = await listed(person, group, limit=2, cursor=page["nextCursor"])
        numbers += [one["number"] for one in page["messages"]]
    assert numbers == [5, 4, 3, 2, 1]


async def test_a_cursor_belongs_to_its_list(platform: Platform, person: Person) -> None:
    place = await a_place(platform, person)
    group, other = await a_group(person, place), await a_group(person, place)
    for number in range(3):
        await say(person, group, str(number))
    cursor = (await listed(person, group, limit=1))["nextCursor"]
    for params in (
        {"conversationId": other["id"], "cursor": cursor},
        {"conversationId": group["id"], "cursor": cursor, "topLevel": True},
        {"conversationId": group["id"], "cursor": "x"},
    ):
        answer = await person.client.get("/api/messages", params=params)
        assert refusal(answer) == (422, "invalid_cursor")
    elsewhere = await say(person, other)
    params = {"conversationId": group["id"], "around": elsewhere["id"]}
    assert refusal(await person.client.get("/api/messages", params=params)) == (404, "not_found")
    assert (await person.client.get("/api/messages")).status_code == 422


async def test_answers_stand_in_a_thread(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    group = await a_group(ann, await a_place(platform, ann, bob), bob)
    question = await say(ann, group, "Ready?")
    answer = await say(bob, group, "Yes", parentId=question["id"])
    await say(ann, group, "Good", parentId=question["id"])
    await say(bob, group, "Other")
    assert await bodies(ann, group) == ["Other", "Good", "Yes", "Ready?"]
    assert await bodies(ann, group, topLevel=True) == ["Other", "Ready?"]
    assert await bodies(ann, group, parentId=question["id"]) == ["Good", "Yes"]
    assert refusal(await try_to_say(ann, group, parentId=answer["id"])) == (422, "invalid_parent")
    shown = (await ann.client.get(message_path(question))).json()["message"]
    assert (shown["replyCount"], shown["version"]) == (2, 3)
    assert (await bob.client.delete(message_path(answer))).status_code == 204
    assert (await ann.client.get(message_path(question))).json()["message"]["replyCount"] == 1


async def test_a_page_costs_the_same_number_of_queries_however_long(platform: Platform, person: Person) -> None:
    group = await a_group(person, await a_place(platform, person))
    other = await a_group(person, group["workspaceId"])
    for number in range(12):
        said = await say(person, group, str(number), mentions=[str(person.id)])
        await person.client.put(message_path(said, THUMB))
    await say(person, other)
    paths = ("/api/messages", {"conversationId": group["id"]}), ("/api/messages", {"conversationId": other["id"]})
    await statements_of(platform, person, *paths[0])  # who is calling is known for some seconds
    many, few = [await statements_of(platform, person, path, params) for path, params in paths]
    assert many == few


async def statements_of(platform: Platform, person: Person, path: str, params: Any) -> int:
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.append(arguments[2])

    engine = platform.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        answer = await person.client.get(path, params=params)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert answer.status_code == 200
    return len(seen)


# --- changing and taking back ----------------------------------------------------------------------------------


async def test_its_author_changes_it_and_all_see_what_it_was(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    group = await a_group(ann, await a_place(platform, ann, bob), bob)
    said = await say(bob, group, "One", mentions=[str(ann.id)])
    for body in ("Two", "Three", "Three"):
        answer = await bob.client.patch(message_path(said), json={"body": body})
        assert answer.status_code == 200
    changed = answer.json()["message"]
    assert (changed["body"], changed["version"], changed["number"]) == ("Three", 3, 1)
    assert changed["editedAt"] is not None
    assert [one["id"] for one in changed["mentions"]] == [str(ann.id)]
    history = (await ann.client.get(message_path(said, "/history"))).json()
    assert [(one["version"], one["body"]) for one in history["revisions"]] == [(2, "Two"), (1, "One")]
    assert history["revisions"][1]["writtenAt"] == said["createdAt"]
    page = (await ann.client.get(message_path(said, "/history"), params={"limit": 1})).json()
    rest = await ann.client.get(message_path(said, "/history"), params={"cursor": page["nextCursor"]})
    assert [one["body"] for one in rest.json()["revisions"]] == ["One"]


async def test_nobody_else_changes_it(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    group, talk = await a_group(ann, place, bob), await direct(ann, place, bob)
    bobs, anns = await say(bob, group), await say(ann, group)
    answer = await ann.client.patch(message_path(bobs), json={"body": "Other"})  # its group's admin
    assert refusal(answer) == (403, "not_the_author")
    assert refusal(await bob.client.delete(message_path(anns))) == (403, "not_the_author")
    assert (await ann.client.delete(message_path(bobs))).status_code == 204
    private = await say(bob, talk)
    assert refusal(await ann.client.delete(message_path(private))) == (403, "not_the_author")  # the workspace's owner


@pytest.mark.parametrize("body", [{}, {"body": ""}, {"body": None}, {"body": "x", "parentId": None}])
async def test_a_wrong_change_is_refused(platform: Platform, person: Person, body: Json) -> None:
    said = await say(person, await a_group(person, await a_place(platform, person)))
    assert refusal(await person.client.patch(message_path(said), json=body)) == (422, "validation_failed")
    assert (await person.client.get(message_path(said))).json()["message"] == said


async def test_a_change_of_what_is_not_so_any_more_is_refused(platform: Platform, person: Person) -> None:
    said = await say(person, await a_group(person, await a_place(platform, person)))
    await person.client.patch(message_path(said), json={"body": "Two"})
    stale = {"If-Match": '"1"'}
    late = await person.client.patch(message_path(said), json={"body": "Three"}, headers=stale)
    assert refusal(late) == (412, "precondition_failed")
    assert refusal(await person.client.delete(message_path(said), headers=stale)) == (412, "precondition_failed")
    wrong = await person.client.patch(message_path(said), json={"body": "Three"}, headers={"If-Match": "x"})
    assert refusal(wrong) == (422, "invalid_if_match")


async def test_what_is_taken_back_leaves_an_empty_place(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    group = await a_group(ann, await a_place(platform, ann, bob), bob)
    secret = f"secret{uuid4().hex[:12]}"
    said = await say(bob, group, f"A {secret}", mentions=[str(ann.id)])
    await bob.client.patch(message_path(said), json={"body": f"Another {secret}"})
    await ann.client.put(message_path(said, THUMB))
    assert (await bob.client.delete(message_path(said))).status_code == 204
    assert (await bob.client.delete(message_path(said))).status_code == 204
    shown = (await ann.client.get(message_path(said))).json()["message"]
    assert (shown["body"], shown["mentions"], shown["reactions"], shown["number"]) == ("", [], [], 1)
    assert shown["deletedAt"] is not None
    assert (await ann.client.get(message_path(said, "/history"))).json()["revisions"] == []
    for answer in (
        await bob.client.patch(message_path(said), json={"body": "Back"}),
        await ann.client.put(message_path(said, THUMB)),
        await ann.client.delete(message_path(said, THUMB)),
    ):
        assert refusal(answer) == (409, "message_deleted")
    async with platform.database.reading() as session:
        for table, columns in (
            ("messages", "body"),
            ("message_revisions", "body"),
            ("search_documents", "title || body || words::text"),
            ("notifications", "title || body || data::text"),
            ("changes", "entity || action"),
        ):
            left = text(f"SELECT count(*) FROM {table} WHERE ({columns}) ILIKE :secret")
            assert await session.scalar(left, {"secret": f"%{secret}%"}) == 0, table
    assert (await say(bob, group))["number"] == 2


async def test_two_changes_at_once_both_stand_in_the_history(platform: Platform, person: Person) -> None:
    said = await say(person, await a_group(person, await a_place(platform, person)), "0")
    answers = await asyncio.gather(
        *(person.client.patch(message_path(said), json={"body": str(number)}) for number in range(1, 9))
    )
    assert {one.status_code for one in answers} == {200}
    now = (await person.client.get(message_path(said))).json()["message"]
    history = (await person.client.get(message_path(said, "/history"))).json()["revisions"]
    assert sorted([now["body"], *(one["body"] for one in history)]) == [str(number) for number in range(9)]
    assert [one["version"] for one in history] == list(range(8, 0, -1))


# --- reactions -------------------------------------------------------------------------------------------------


async def test_reactions_are_given_once_and_taken_back_once(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    group = await a_group(ann, await a_place(platform, ann, bob), bob)
    said = await say(ann, group)
    for _ in range(2):
        answer = await ann.client.put(message_path(said, THUMB))
        assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    await bob.client.put(message_path(said, THUMB))
    await bob.client.put(message_path(said, "/reactions/🎉"))
    shown = (await ann.client.get(message_path(said))).json()["message"]
    assert shown["reactions"] == [
        {"emoji": "👍", "count": 2, "mine": True},
        {"emoji": "🎉", "count": 1, "mine": False},
    ]
    for _ in range(2):
        answer = await ann.client.delete(message_path(said, THUMB))
        assert answer.json()["message"]["reactions"][0] == {"emoji": "👍", "count": 1, "mine": False}


@pytest.mark.parametrize("emoji", ["like", "%20", "👍👎x", "%E2%80%AE", "%00", "a" * 300])
async def test_a_reaction_is_an_emoji(platform: Platform, person: Person, emoji: str) -> None:
    said = await say(person, await a_group(person, await a_place(platform, person)))
    for method in ("PUT", "DELETE"):
        answer = await person.client.request(method, message_path(said, f"/reactions/{emoji}"))
        assert refusal(answer) == (422, "invalid_emoji")


async def test_a_message_takes_fifty_kinds_of_reactions(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    group = await a_group(ann, await a_place(platform, ann, bob), bob)
    said = await say(ann, group)
    async with platform.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO message_reactions (message_id, user_id, emoji, workspace_id, created_at)"
                " SELECT m.id, m.author_user_id, chr(127744 + n), m.workspace_id, m.created_at"
                " FROM messages m, generate_series(1, 50) n WHERE m.id = :id"
            ),
            {"id": UUID(said["id"])},
        )
    assert refusal(await bob.client.put(message_path(said, THUMB))) == (409, "too_many_reactions")
    assert (await bob.client.put(message_path(said, f"/reactions/{chr(127745)}"))).status_code == 200


async def test_reactions_at_once_are_all_kept(platform: Platform, new_person: NewPerson) -> None:
    people = await some_people(new_person, *"ABCDEF")
    place = await a_place(platform, *people)
    said = await say(people[0], await create(people[0], place, "CHANNEL"))
    await asyncio.gather(*(one.client.put(message_path(said, THUMB)) for one in people for _ in range(3)))
    shown = (await people[0].client.get(message_path(said))).json()["message"]
    assert (shown["reactions"][0]["count"], shown["version"]) == (6, 7)
