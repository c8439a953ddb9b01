"""What is said of tasks: who may, whom it names, what others think of it, and what stays when it is taken back."""

import asyncio
from typing import Final
from urllib.parse import quote
from uuid import uuid4

import httpx

from pm_api.identity.permissions import Role
from tests.domains.projects.sites import Site
from tests.domains.tasks.talking import (
    NOWHERE,
    a_task,
    activity_of,
    archive,
    check_gates,
    comment,
    comments_of,
    of_member,
    path,
    refused,
    send,
)

THUMB: Final = "👍"


async def test_a_comment_is_written_read_changed_and_taken_back(site: Site) -> None:
    member, _, task = await of_member(site)
    answer = await member.client.post(path(task, "/comments"), json={"body": "Ready for **Friday**?"})
    assert answer.status_code == 201
    made = answer.json()["comment"]
    address = path(task, f"/comments/{made['id']}")
    assert answer.headers["Location"] == address
    assert made["author"] == {"id": str(member.id), "name": "Mo Member", "avatar": None}
    assert (made["body"], made["parentId"], made["mentions"], made["reactions"]) == (
        "Ready for **Friday**?",
        None,
        [],
        [],
    )
    assert (made["isDeleted"], made["editedAt"]) == (False, None)
    read = await member.client.get(address)
    assert (read.json()["comment"], read.headers["ETag"]) == (made, answer.headers["ETag"])
    known = {"If-None-Match": read.headers["ETag"]}
    assert (await member.client.get(address, headers=known)).status_code == 304
    await send(member, "PUT", "/api/user/profile", 200, {"name": "Mo Other"})
    assert (await send(member, "GET", address, 200, headers=known))["comment"]["author"]["name"] == "Mo Other"

    fresh = {"headers": {"If-Match": read.headers["ETag"]}}
    changed = (await send(member, "PATCH", address, 200, {"body": "On Monday."}, **fresh))["comment"]
    assert (changed["body"], changed["version"]) == ("On Monday.", 2)
    assert changed["editedAt"] is not None
    assert (await send(member, "PATCH", address, 200, {"body": "On Monday."}))["comment"]["version"] == 2
    stale = {"headers": {"If-Match": '"1"'}}
    assert await refused(member, "PATCH", address, {"body": "x"}, **stale) == (412, "precondition_failed")
    assert await refused(member, "DELETE", address, **stale) == (412, "precondition_failed")
    await send(member, "DELETE", address, 204)
    for method, body in (("GET", None), ("PATCH", {"body": "x"}), ("DELETE", None)):
        assert await refused(member, method, address, body) == (404, "comment_not_found")
    assert await comments_of(member, task) == []
    assert await activity_of(member, task) == ["created", "commented", "comment_updated", "comment_deleted"]


async def test_the_list_is_oldest_first_over_its_pages(site: Site) -> None:
    member, _, task = await of_member(site)
    made = [await comment(member, task, f"Number {number}") for number in range(5)]
    reply = await comment(member, task, "Yes", parentId=made[1]["id"])
    wanted = [one["id"] for one in (*made, reply)]
    assert [one["id"] for one in await comments_of(member, task, limit=2)] == wanted
    assert [one["id"] for one in await comments_of(member, task, parentId=made[1]["id"])] == [reply["id"]]
    answer = await member.client.get(path(task, "/comments"), params={"limit": 2})
    foreign = {"cursor": answer.json()["nextCursor"], "parentId": made[1]["id"]}
    assert await refused(member, "GET", path(task, "/comments"), params=foreign) == (422, "invalid_cursor")


async def test_a_task_is_named_by_its_key_too(site: Site) -> None:
    member, _, task = await of_member(site)
    made = await comment(member, task, "Hello")
    found = await send(member, "GET", f"/api/tasks/{task['key']}/comments", 200, params={"workspaceId": site.id})
    assert [one["id"] for one in found["comments"]] == [made["id"]]
    assert await refused(member, "GET", f"/api/tasks/{task['key']}/comments") == (404, "task_not_found")


async def test_a_reply_answers_a_comment_of_the_same_task_and_no_reply(site: Site) -> None:
    member, project, task = await of_member(site)
    first = await comment(member, task, "A question")
    reply = await comment(member, task, "An answer", parentId=first["id"])
    assert reply["parentId"] == first["id"]
    other = await comment(member, await a_task(member, project), "Elsewhere")
    address = path(task, "/comments")
    for parent, expected in (
        (reply["id"], (422, "reply_to_reply")),
        (other["id"], (404, "comment_not_found")),
        (NOWHERE, (404, "comment_not_found")),
    ):
        assert await refused(member, "POST", address, {"body": "x", "parentId": parent}) == expected
    assert await refused(member, "GET", path(task, f"/comments/{other['id']}")) == (404, "comment_not_found")


async def test_a_deleted_one_keeps_its_place_while_others_answer_it(site: Site) -> None:
    member, _, task = await of_member(site)
    first = await comment(member, task, "A secret", mentionIds=[str(site.owner.id)])
    address = path(task, f"/comments/{first['id']}")
    await send(member, "PUT", f"{address}/reactions/{quote(THUMB)}", 200)
    reply = await comment(member, task, "An answer", parentId=first["id"])
    await send(member, "DELETE", address, 204)
    place, answer = await comments_of(member, task)
    assert (place["id"], place["isDeleted"], place["body"]) == (first["id"], True, "")
    assert (place["mentions"], place["reactions"]) == ([], [])
    assert answer["id"] == reply["id"]
    assert await refused(member, "POST", path(task, "/comments"), {"body": "x", "parentId": first["id"]}) == (
        404,
        "comment_not_found",
    )
    assert await refused(member, "PUT", f"{address}/reactions/{quote(THUMB)}") == (404, "comment_not_found")
    await send(member, "DELETE", path(task, f"/comments/{reply['id']}"), 204)
    assert await comments_of(member, task) == [], "nobody answers it any more"


async def test_who_may(site: Site, client: httpx.AsyncClient) -> None:
    member, project, task = await of_member(site)
    made = await comment(member, task, "Mine")
    address = path(task, f"/comments/{made['id']}")
    for method, where, body, viewer in (
        ("POST", path(task, "/comments"), {"body": "x"}, 403),
        ("GET", path(task, "/comments"), None, 200),
        ("GET", address, None, 200),
        ("PATCH", address, {"body": "x"}, 403),
        ("DELETE", address, None, 403),
        ("PUT", f"{address}/reactions/{quote(THUMB)}", None, 403),
        ("DELETE", f"{address}/reactions/{quote(THUMB)}", None, 403),
    ):
        await check_gates(site, method, where, body, viewer=viewer, anonymous=client)
    other = await site.person(Role.MEMBER)
    assert await refused(other, "PATCH", address, {"body": "x"}) == (403, "forbidden")
    assert await refused(other, "DELETE", address) == (403, "forbidden")
    lead = await site.person(Role.VIEWER)
    await site.put(project, lead, "ADMIN")
    words = {"body": "Put into somebody's mouth"}
    assert await refused(lead, "PATCH", address, words) == (403, "forbidden"), "nobody speaks for others"
    await send(lead, "DELETE", address, 204)


async def test_an_archived_project_can_only_be_read(site: Site) -> None:
    member, project, task = await of_member(site)
    made = await comment(member, task, "Before")
    address = path(task, f"/comments/{made['id']}")
    await archive(site, project)
    for method, where, body in (
        ("POST", path(task, "/comments"), {"body": "x"}),
        ("PATCH", address, {"body": "x"}),
        ("DELETE", address, None),
        ("PUT", f"{address}/reactions/{quote(THUMB)}", None),
        ("DELETE", f"{address}/reactions/{quote(THUMB)}", None),
    ):
        assert await refused(member, method, where, body) == (409, "project_archived")
    assert [one["body"] for one in await comments_of(member, task)] == ["Before"]


# --- hostile text ----------------------------------------------------------------------------------------------


HOSTILE: Final = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "[click](javascript:alert(1))",
    "\u202egnp.exe\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "=1+1\t+cmd|' /C calc'!A0",
    "'; DROP TABLE task_comments; --",
    "{{7*7}} ${7*7} %s %(x)s \\u0000",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 100,
    "x" * 20_000,
    "@[" * 9_000,
    "@[a](user:" + "\\]" * 500,
]


async def test_hostile_text_comes_back_as_it_was(site: Site) -> None:
    member, _, task = await of_member(site)
    for body in HOSTILE:
        answer = await member.client.post(path(task, "/comments"), json={"body": body})
        assert answer.status_code == 201, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["comment"]["body"] == body
    assert [one["body"] for one in await comments_of(member, task, limit=3)] == HOSTILE


NOT_KEPT: Final = [
    b'{"body": "a\\u0000b"}',
    b'{"body": "\\ud83d"}',
    b'{"body": "\\udc00 first"}',
    b'{"body": ""}',
    b'{"body": "  \\n\\t "}',
    b'{"body": null}',
    b'{"body": 7}',
    b"{}",
    b'{"body": "x", "text": "y"}',
    b'{"body": "x", "parentId": "nonsense"}',
    b'{"body": "x", "mentionIds": ["nonsense"]}',
    b'{"body": "' + b"x" * 20_001 + b'"}',
    b'{"body": "' + b"x" * 1_000_000 + b'"}',
]


async def test_what_cannot_be_kept_is_refused(site: Site) -> None:
    member, _, task = await of_member(site)
    made = await comment(member, task, "As it was")
    address, json = path(task, f"/comments/{made['id']}"), {"Content-Type": "application/json"}
    for sent in NOT_KEPT:
        answer = await member.client.post(path(task, "/comments"), content=sent, headers=json)
        assert answer.status_code in (413, 422), (sent[:40], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        if sent != b"{}":
            assert (await member.client.patch(address, content=sent, headers=json)).status_code in (413, 422), sent[
                :40
            ]
    assert [one["body"] for one in await comments_of(member, task)] == ["As it was"]


# --- mentions --------------------------------------------------------------------------------------------------


async def test_only_who_sees_the_task_is_named(site: Site) -> None:
    project = await site.project(isPrivate=True)
    inside, outside = await site.person(Role.MEMBER, name="Ina [In]"), await site.person(Role.MEMBER, name="Otto")
    stranger = await site.new_person()
    await site.put(project, inside, "MEMBER")
    task = await a_task(site.owner, project)
    body = f"@[Ina \\[In\\]](user:{inside.id}) and @[Otto](user:{outside.id}), @[Ina](user:{str(inside.id).upper()})"
    sent = {"body": body, "mentionIds": [str(stranger.id), NOWHERE, str(inside.id)]}
    answer = await send(site.owner, "POST", path(task, "/comments"), 201, sent)
    assert answer["comment"]["mentions"] == [{"id": str(inside.id), "name": "Ina [In]", "avatar": None}]
    assert answer["ignoredMentions"] == [str(outside.id), str(stranger.id), NOWHERE]
    address = path(task, f"/comments/{answer['comment']['id']}")
    await site.put(project, outside, "VIEWER")
    changed = await send(site.owner, "PATCH", address, 200, {"body": f"@[O](user:{outside.id})"})
    assert [one["name"] for one in changed["comment"]["mentions"]] == ["Otto"]
    assert changed["ignoredMentions"] == []
    kept = await send(site.owner, "PATCH", address, 200, {"mentionIds": [str(inside.id)]})
    assert {one["name"] for one in kept["comment"]["mentions"]} == {"Otto", "Ina [In]"}


async def test_at_most_fifty_are_named(site: Site) -> None:
    member, _, task = await of_member(site)
    many = " ".join(f"@[a](user:{uuid4()})" for _ in range(51))
    assert await refused(member, "POST", path(task, "/comments"), {"body": many}) == (422, "validation_failed")
    answer = await send(member, "POST", path(task, "/comments"), 201, {"body": many.partition(" ")[2]})
    assert len(answer["ignoredMentions"]) == 50


# --- reactions -------------------------------------------------------------------------------------------------


async def test_a_reaction_is_put_once_and_taken_back_once(site: Site) -> None:
    member, _, task = await of_member(site)
    made = await comment(member, task, "Good?")
    address = path(task, f"/comments/{made['id']}/reactions/{quote(THUMB)}")
    for _ in range(2):
        found = (await send(member, "PUT", address, 200))["comment"]
        assert (found["reactions"], found["version"]) == ([{"emoji": THUMB, "count": 1, "mine": True}], 2)
    found = (await send(site.owner, "PUT", address, 200))["comment"]
    assert found["reactions"] == [{"emoji": THUMB, "count": 2, "mine": True}]
    found = (await send(member, "DELETE", address, 200))["comment"]
    assert found["reactions"] == [{"emoji": THUMB, "count": 1, "mine": False}], "another's stays"
    assert (await send(member, "DELETE", address, 200))["comment"]["version"] == found["version"]


EMOJIS: Final = [
    *("\U0001f44d", "\u2764\ufe0f", "\U0001f1e9\U0001f1ea", "3\ufe0f\u20e3", "\U0001f44b\U0001f3fd", "\u00a9"),
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
]


async def test_real_emojis(site: Site) -> None:
    member, _, task = await of_member(site)
    made = await comment(member, task, "Good?")
    for emoji in EMOJIS:
        await send(member, "PUT", path(task, f"/comments/{made['id']}/reactions/{quote(emoji)}"), 200)
    [found] = await comments_of(member, task)
    assert {one["emoji"] for one in found["reactions"]} == set(EMOJIS)


NO_EMOJIS: Final = [
    *(
        "a",
        "1",
        "ok",
        "\U0001f44d\U0001f44d",
        "\U0001f1e9",
        "<b>",
        "%00",
        "\u200f",
        "\U0001f44d\u200d",
        "%ED%A0%BD",
        " ",
    ),
    "\U0001f469\U0001f3fb\u200d\u2764\ufe0f\u200d\U0001f48b\u200d\U0001f468\U0001f3fc",
]


async def test_what_is_no_emoji(site: Site) -> None:
    """The kiss is one, and has 35 bytes."""
    member, _, task = await of_member(site)
    made = await comment(member, task, "Good?")
    for text in NO_EMOJIS:
        address = path(task, f"/comments/{made['id']}/reactions/{quote(text, safe='%')}")
        for method in ("PUT", "DELETE"):
            assert await refused(member, method, address) == (422, "validation_failed"), ascii(text)


async def test_at_most_twenty_kinds_however_many_come_at_once(site: Site) -> None:
    member, _, task = await of_member(site)
    made = await comment(member, task, "Good?")
    kinds = [chr(0x1F600 + number) for number in range(30)]

    async def put(emoji: str) -> int:
        address = path(task, f"/comments/{made['id']}/reactions/{quote(emoji)}")
        return (await member.client.put(address)).status_code

    answers = await asyncio.gather(*(put(one) for one in kinds))
    assert (answers.count(200), answers.count(409)) == (20, 10)
    [found] = await comments_of(member, task)
    assert len(found["reactions"]) == 20
    taken = path(task, f"/comments/{made['id']}/reactions/{quote(found['reactions'][0]['emoji'])}")
    assert (await send(site.owner, "PUT", taken, 200))["comment"]["reactions"][0]["count"] == 2
    free = next(one for one in kinds if one not in {reaction["emoji"] for reaction in found["reactions"]})
    assert await refused(member, "PUT", path(task, f"/comments/{made['id']}/reactions/{quote(free)}")) == (
        409,
        "too_many_reactions",
    )


async def test_reactions_and_words_at_once_lose_nothing(site: Site) -> None:
    member, _, task = await of_member(site)
    made = await comment(member, task, "Good?")
    people = [site.owner, *[await site.person(Role.MEMBER) for _ in range(5)]]
    address = path(task, f"/comments/{made['id']}")
    await asyncio.gather(
        *(send(one, "PUT", f"{address}/reactions/{quote(THUMB)}", 200) for one in (*people, *people)),
        send(member, "PATCH", address, 200, {"body": "Better."}),
    )
    [found] = await comments_of(member, task)
    assert (found["body"], found["reactions"][0]["count"], found["version"]) == ("Better.", 6, 8)


async def test_answering_and_deleting_at_once_leaves_no_answer_without_its_place(site: Site) -> None:
    member, _, task = await of_member(site)
    for _ in range(5):
        first = await comment(member, task, "A question")
        reply, gone = await asyncio.gather(
            member.client.post(path(task, "/comments"), json={"body": "Yes", "parentId": first["id"]}),
            member.client.delete(path(task, f"/comments/{first['id']}")),
        )
        assert gone.status_code == 204
        assert reply.status_code in (201, 404)
        shown = {one["id"] for one in await comments_of(member, task)}
        assert (first["id"] in shown) == (reply.status_code == 201)
