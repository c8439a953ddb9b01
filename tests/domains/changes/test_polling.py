"""GET /api/changes."""

from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from pm_api.core.platform import Platform
from pm_api.domains.changes import service
from pm_api.identity.permissions import Role
from tests.domains.changes.people import Caller, end_session, new_caller, new_scope, new_workspace
from tests.domains.changes.writing import note, write


async def poll(client: httpx.AsyncClient, person: Caller, **parameters: object) -> httpx.Response:
    return await client.get("/api/changes", params=parameters, headers=person.headers)  # type: ignore[arg-type]


async def test_a_walk_meets_every_change_once_and_goes_on_from_where_it_ended(
    client: httpx.AsyncClient, platform: Platform
) -> None:
    person = await new_caller(platform)
    workspace_id = await new_workspace(platform, person)
    async with platform.database.transaction() as session:
        for number in range(1, 8):
            note(session, platform, number, workspace_id=workspace_id, actor_user_id=person.id)
    seen: list[int] = []
    cursor: dict[str, str] = {}
    has_more = True
    while has_more:
        answer = await poll(client, person, workspaceId=workspace_id, limit=3, **cursor)
        assert answer.status_code == 200, answer.text
        content = answer.json()
        seen += [change["position"] for change in content["changes"]]
        cursor, has_more = {"cursor": content["nextCursor"]}, content["hasMore"]
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert content["changes"][0].keys() == {
        "workspaceId", "position", "entity", "entityId", "action", "version", "actorUserId", "actorKeyId", "createdAt"
    }  # fmt: skip
    assert content["changes"][0]["workspaceId"] == str(workspace_id)
    assert content["changes"][0]["actorUserId"] == str(person.id)
    assert content["changes"][0]["createdAt"].endswith("Z")

    quiet = (await poll(client, person, workspaceId=workspace_id, **cursor)).json()
    assert (quiet["changes"], quiet["hasMore"]) == ([], False)
    await write(platform, 8, workspace_id=workspace_id)
    after = (await poll(client, person, workspaceId=workspace_id, cursor=quiet["nextCursor"])).json()
    assert [change["version"] for change in after["changes"]] == [8]


async def test_without_a_workspace_it_is_the_callers_own_feed(client: httpx.AsyncClient, platform: Platform) -> None:
    ann, bob = await new_caller(platform), await new_caller(platform)
    assert (await poll(client, ann)).json()["changes"] == []
    await write(platform, 5, user_ids=[ann.id])
    (change,) = (await poll(client, ann)).json()["changes"]
    assert (change["workspaceId"], change["version"]) == (None, 5)
    assert (await poll(client, bob)).json()["changes"] == []


async def test_a_page_of_what_others_may_see_is_empty_and_goes_on(
    client: httpx.AsyncClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SCANNED_POSITIONS", 4)
    inside, outside = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, inside, outside)
    scope_id = await new_scope(platform, workspace_id, inside)
    async with platform.database.transaction() as session:
        for number in range(1, 7):
            note(session, platform, number, workspace_id=workspace_id, scope_id=scope_id if number < 6 else None)
    first = (await poll(client, outside, workspaceId=workspace_id)).json()
    assert (first["changes"], first["hasMore"]) == ([], True)
    second = (await poll(client, outside, workspaceId=workspace_id, cursor=first["nextCursor"])).json()
    assert ([change["version"] for change in second["changes"]], second["hasMore"]) == ([6], False)
    assert len((await poll(client, inside, workspaceId=workspace_id)).json()["changes"]) == 4


async def test_what_only_admins_may_read_is_told_to_them_alone(client: httpx.AsyncClient, platform: Platform) -> None:
    owner, member = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, owner, member)
    await write(platform, 1, workspace_id=workspace_id, least_role=Role.ADMIN)
    await write(platform, 2, workspace_id=workspace_id, least_role=Role.MEMBER)
    await write(platform, 3, workspace_id=workspace_id)
    seen = {
        who.id: [one["version"] for one in (await poll(client, who, workspaceId=workspace_id)).json()["changes"]]
        for who in (owner, member)
    }
    assert seen == {owner.id: [1, 2, 3], member.id: [2, 3]}


@pytest.mark.parametrize("spoil", [lambda text: text[:-2] + "AA", lambda text: "A" + text, lambda _text: "%%%"])
async def test_an_altered_cursor_is_refused(client: httpx.AsyncClient, platform: Platform, spoil: object) -> None:
    assert callable(spoil)
    person = await new_caller(platform)
    await write(platform, user_ids=[person.id])
    cursor = (await poll(client, person)).json()["nextCursor"]
    answer = await poll(client, person, cursor=spoil(cursor))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_a_cursor_belongs_to_its_feed(client: httpx.AsyncClient, platform: Platform) -> None:
    person = await new_caller(platform)
    workspace_id = await new_workspace(platform, person)
    cursor = (await poll(client, person)).json()["nextCursor"]
    answer = await poll(client, person, workspaceId=workspace_id, cursor=cursor)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_who_may_not_read_gets_the_right_refusal(client: httpx.AsyncClient, platform: Platform) -> None:
    person, stranger = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, person)
    assert (await client.get("/api/changes")).status_code == 401
    for foreign in (workspace_id, uuid4()):
        answer = await poll(client, stranger, workspaceId=foreign)
        assert (answer.status_code, answer.json()["code"]) == (404, "workspace_not_found")
    assert (await poll(client, person, workspaceId="nonsense")).status_code == 422
    assert (await poll(client, person, limit=201)).status_code == 422


async def ticket_for(client: httpx.AsyncClient, person: Caller, workspace_id: UUID | None = None) -> str:
    body = {} if workspace_id is None else {"workspaceId": str(workspace_id)}
    answer = await client.post("/api/stream/tickets", json=body, headers=person.headers)
    assert answer.status_code == 201, answer.text
    assert answer.json().keys() == {"ticket", "expiresAt"}
    ticket: str = answer.json()["ticket"]
    return ticket


async def test_tickets_are_given_to_members_only(client: httpx.AsyncClient, platform: Platform) -> None:
    person, stranger = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, person)
    assert len(await ticket_for(client, person, workspace_id)) >= 43
    body = {"workspaceId": str(workspace_id)}
    assert (await client.post("/api/stream/tickets", json=body)).status_code == 401
    assert (await client.post("/api/stream/tickets", json=body, headers=stranger.headers)).status_code == 404
    wrong = await client.post("/api/stream/tickets", json={"workspace": "x"}, headers=person.headers)
    assert wrong.status_code == 422


async def refusal(client: httpx.AsyncClient, **parameters: object) -> tuple[int, str]:
    """How `GET /api/stream` refuses, over the in-memory transport: a refusal ends, a stream would not."""
    answer = await client.get("/api/stream", params=parameters)  # type: ignore[arg-type]
    return answer.status_code, answer.json()["code"]


async def test_a_ticket_that_is_expired_or_for_elsewhere_opens_nothing(
    client: httpx.AsyncClient, platform: Platform, app: FastAPI
) -> None:
    person = await new_caller(platform)
    here, there = await new_workspace(platform, person), await new_workspace(platform, person)
    ticket = await ticket_for(client, person, here)
    assert await refusal(client, ticket=ticket, workspaceId=there) == (401, "invalid_ticket")
    assert await refusal(client, ticket=ticket, workspaceId=here) == (401, "invalid_ticket"), (
        "a failed try uses it up"
    )
    own = await ticket_for(client, person)
    assert await refusal(client, ticket=own, workspaceId=here) == (401, "invalid_ticket")
    assert await refusal(client, ticket="guess") == (401, "invalid_ticket")

    late = await ticket_for(client, person, here)
    clock = platform.clock
    clock.advance(seconds=31)  # type: ignore[attr-defined]
    assert await refusal(client, ticket=late, workspaceId=here) == (401, "invalid_ticket")

    ended = await ticket_for(client, person, here)
    await end_session(platform, person)
    assert await refusal(client, ticket=ended, workspaceId=here) == (401, "unauthorized")


async def test_business_time_does_not_touch_tickets(client: httpx.AsyncClient, platform: Platform) -> None:
    """A ticket's 30 seconds are real ones: moving the business clock must not end it."""
    person = await new_caller(platform)
    ticket = await ticket_for(client, person)
    async with platform.database.transaction() as session:
        row = await service.redeem_ticket(session, platform, ticket)
    assert (row.user_id, row.session_id, row.workspace_id) == (person.id, person.session_id, None)


@pytest.mark.parametrize("name", ["access_token", "token", "accessToken", "authorization"])
async def test_access_tokens_in_the_address_are_refused(
    client: httpx.AsyncClient, platform: Platform, name: str
) -> None:
    person = await new_caller(platform)
    assert await refusal(client, **{name: person.token}) == (401, "token_in_address")
    answer = await client.get("/api/stream", params={name: person.token}, headers=person.headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_in_address")


async def test_a_stream_is_refused_as_a_problem_before_it_starts(
    client: httpx.AsyncClient, platform: Platform
) -> None:
    person, stranger = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, person)
    assert await refusal(client) == (401, "unauthorized")
    client.headers.update(stranger.headers)
    assert await refusal(client, workspaceId=workspace_id) == (404, "workspace_not_found")
    client.headers.update(person.headers)
    for nonsense in ("1", "a-b", "1-2-3", "-1-2", "1" * 19 + "-0", "٣-٣"):
        assert await refusal(client, lastEventId=nonsense) == (422, "invalid_event_id")
