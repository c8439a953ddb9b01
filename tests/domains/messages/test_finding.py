"""GET /api/messages/search: what was said, found again by those who see it."""

import httpx
import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.messages.talking import (
    NOWHERE,
    Json,
    a_group,
    a_place,
    create,
    direct,
    message_path,
    path_of,
    refusal,
    say,
    some_people,
)
from tests.identity.teams import join


async def found(person: Person, workspace_id: str, q: str, **query: object) -> list[Json]:
    params: Json = {"workspaceId": workspace_id, "q": q, **query}
    answer = await person.client.get("/api/messages/search", params=params)
    assert answer.status_code == 200, answer.text
    results: list[Json] = answer.json()["results"]
    return results


async def texts(person: Person, workspace_id: str, q: str, **query: object) -> set[str]:
    return {one["message"]["body"] for one in await found(person, workspace_id, q, **query)}


async def test_without_a_token_nobody_comes_in(client: httpx.AsyncClient) -> None:
    assert refusal(await client.get("/api/messages/search")) == (401, "unauthorized")


async def test_what_was_said_is_found_where_one_sees_it(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, gus = await some_people(new_person, "Ann", "Bob", "Gus")
    place = await a_place(platform, ann, bob)
    await join(platform, place, gus, Role.GUEST)
    talk, group, channel = (
        await direct(ann, place, bob),
        await a_group(ann, place),
        await create(ann, place, "CHANNEL"),
    )
    said = await say(ann, talk, "The <b>zeppelin</b> lands")
    await say(ann, group, "A zeppelin alone")
    await say(bob, channel, "Everybody's zeppelin")
    assert await texts(ann, place, "zeppelin") == {
        "The <b>zeppelin</b> lands",
        "A zeppelin alone",
        "Everybody's zeppelin",
    }
    assert await texts(bob, place, "zeppelin") == {"The <b>zeppelin</b> lands", "Everybody's zeppelin"}
    assert await texts(gus, place, "zeppelin") == set()
    [one] = await found(bob, place, "zeppelin", conversationId=talk["id"])
    assert one["message"] == said
    assert one["highlights"] == ["The &lt;b&gt;<mark>zeppelin</mark>&lt;/b&gt; lands"]
    params = {"workspaceId": place, "q": "zeppelin", "conversationId": group["id"]}
    assert refusal(await bob.client.get("/api/messages/search", params=params)) == (404, "not_found")


async def test_it_is_found_as_it_is_now(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    place = await a_place(platform, ann, bob)
    group = await a_group(ann, place, bob)
    said = await say(ann, group, "A zeppelin")
    await ann.client.patch(message_path(said), json={"body": "A balloon"})
    assert (await texts(bob, place, "zeppelin"), await texts(bob, place, "balloon")) == (set(), {"A balloon"})
    await ann.client.delete(path_of(group, f"/members/{bob.id}"))
    assert await texts(bob, place, "balloon") == set()
    await ann.client.delete(message_path(said))
    assert await texts(ann, place, "balloon") == set()


async def test_pages_of_one_conversation_pass_over_the_others(platform: Platform, person: Person) -> None:
    place = await a_place(platform, person)
    group, other = await a_group(person, place), await a_group(person, place)
    for number in range(7):
        await say(person, group, f"zeppelin {number}")
        await say(person, other, f"zeppelin elsewhere {number}")
    seen, cursor = list[str](), None
    for _ in range(20):
        params: Json = {"workspaceId": place, "q": "zeppelin", "conversationId": group["id"], "limit": 2}
        if cursor is not None:
            params["cursor"] = cursor
        page = (await person.client.get("/api/messages/search", params=params)).json()
        seen += [one["message"]["body"] for one in page["results"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert sorted(seen) == [f"zeppelin {number}" for number in range(7)]


@pytest.mark.parametrize("change", [{"q": ""}, {"q": "x" * 201}, {"conversationId": "x"}, {"cursor": "x"}])
async def test_a_wrong_question_is_refused(platform: Platform, person: Person, change: Json) -> None:
    params: Json = {"workspaceId": await a_place(platform, person), "q": "zeppelin", **change}
    assert (await person.client.get("/api/messages/search", params=params)).status_code == 422


async def test_of_a_place_of_others_nothing_is_said(platform: Platform, new_person: NewPerson) -> None:
    ann, stranger = await some_people(new_person, "Ann", "Sid")
    params: Json = {"workspaceId": await a_place(platform, ann), "q": "zeppelin"}
    answer = await stranger.client.get("/api/messages/search", params=params)
    assert refusal(answer) == (404, "workspace_not_found")
    params["conversationId"] = str(NOWHERE)
    assert refusal(await ann.client.get("/api/messages/search", params=params)) == (404, "not_found")
