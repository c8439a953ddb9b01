"""Access that ends: somebody removed on one server is a stranger on every other within five seconds, on every route
of the workspace, in the feed and in open streams; so is whoever comes with a key that was revoked.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import httpx
import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core import signals
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.domains.changes.hub import BALANCE_CHANNEL, StreamHub
from pm_api.domains.changes.jobs import record_workspace
from pm_api.entitlements.enums import AccountType
from pm_api.identity.events import WorkspaceChanged
from pm_api.identity.guards import SessionCache
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person, client_of, open_platform
from tests.domains.changes.events import Events, listen
from tests.domains.changes.writing import write
from tests.identity.teams import join, make_workspace, member_of
from tests.identity.test_api_keys import bearer, give_keys, make_key
from tests.support.clock import MovableClock
from tests.support.server import serve
from tests.support.settings import settings_for

SOON_S: Final = 5.0


@dataclass
class Elsewhere:
    """Another server on the same database, with parts of its own."""

    app: FastAPI
    platform: Platform
    url: str


@pytest.fixture
async def elsewhere(worker_database: str) -> AsyncIterator[Elsewhere]:
    settings = settings_for(worker_database)
    async with open_platform(settings, MovableClock()) as platform:
        app = create_app(settings, platform, connect=False)
        async with serve(app, before_stop=platform.part(StreamHub).end_all) as url:
            yield Elsewhere(app, platform, url)


@pytest.fixture
async def team(new_person: NewPerson, platform: Platform) -> tuple[Person, Person, str]:
    owner, admin = await new_person(), await new_person()
    workspace_id: str = (await make_workspace(owner))["id"]
    await give_keys(platform, workspace_id, AccountType.WORKSPACE, 20)
    await join(platform, workspace_id, admin, Role.ADMIN)
    return owner, admin, workspace_id


async def ending_of(events: Events) -> tuple[str, float]:
    """Why a stream ended, and how long that took."""
    began = time.monotonic()
    while True:
        event = await events.next(SOON_S + 2)
        assert event is not None, "a stream says that it ends"
        if event.event == "end":
            return event.data["reason"], time.monotonic() - began


async def remove(owner: Person, workspace_id: str, person: Person) -> None:
    member = await member_of(owner, workspace_id, person)
    answer = await owner.client.delete(f"/api/team/members/{member['id']}")
    assert answer.status_code < 300, answer.text


def routes_of(workspace_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    """One of each kind of guard and method; the access matrix has them all."""
    place = {"workspaceId": workspace_id}
    return [
        ("GET", f"/api/workspaces/{workspace_id}", {}),
        ("PATCH", f"/api/workspaces/{workspace_id}", {"json": {"description": "Mine"}}),
        ("GET", "/api/team/members", {"params": place}),
        ("GET", "/api/changes", {"params": place}),
        ("GET", "/api/credits/balance", {"params": place}),
        ("POST", "/api/credits/spend", {"json": {"amount": 1, **place}, "headers": {"Idempotency-Key": "endings"}}),
        ("POST", "/api/stream/tickets", {"json": place}),
        ("GET", "/api/stream", {"params": place}),
        ("GET", "/api/billing/invoices", {"params": place}),
        ("GET", "/api/api-keys", {"params": place}),
    ]


async def statuses(caller: httpx.AsyncClient, workspace_id: str, headers: dict[str, str]) -> set[int]:
    found = set()
    for method, path, call in routes_of(workspace_id):
        sent = {**call, "headers": {**call.get("headers", {}), **headers}}
        async with caller.stream(method, path, **sent) as answer:
            found.add(answer.status_code)
    return found


async def test_who_is_removed_is_a_stranger_on_every_server(
    team: tuple[Person, Person, str], elsewhere: Elsewhere
) -> None:
    owner, admin, workspace_id = team
    by_session = {"Authorization": f"Bearer {admin.access_token}"}
    own_key, bound_key = await make_key(admin), await make_key(admin, workspaceId=workspace_id)
    async with httpx.AsyncClient(base_url=elsewhere.url, trust_env=False, verify=False, timeout=10) as there:
        for headers in (by_session, bearer(own_key), bearer(bound_key)):
            assert (await there.get(f"/api/workspaces/{workspace_id}", headers=headers)).status_code == 200
        async with (
            listen(elsewhere.url, by_session, workspaceId=workspace_id) as one,
            listen(elsewhere.url, bearer(own_key), workspaceId=workspace_id) as two,
            listen(elsewhere.url, bearer(bound_key), workspaceId=workspace_id) as three,
            listen(elsewhere.url, by_session) as own,
        ):
            for events in (one, two, three, own):
                await events.expect("ready")
            await remove(owner, workspace_id, admin)
            ended = await asyncio.gather(*(ending_of(events) for events in (one, two, three)))
            assert max(seconds for _, seconds in ended) < SOON_S
            assert [reason for reason, _ in ended[:2]] == ["membership_ended"] * 2
            assert ended[2][0] in ("membership_ended", "session_ended")
            assert await statuses(there, workspace_id, by_session) == {404}
            assert await statuses(there, workspace_id, bearer(own_key)) <= {404, 403}
            assert await statuses(there, workspace_id, bearer(bound_key)) == {401}
            for headers in (by_session, bearer(own_key)):
                assert (await there.get("/api/auth/me", headers=headers)).status_code == 200, (
                    "themselves they are still"
                )


async def test_a_stream_tells_the_removed_nothing_of_what_comes_after(
    team: tuple[Person, Person, str], elsewhere: Elsewhere, platform: Platform
) -> None:
    owner, admin, workspace_id = team
    bound = await make_key(admin, workspaceId=workspace_id)
    by_session = {"Authorization": f"Bearer {admin.access_token}"}
    async with (
        listen(elsewhere.url, by_session, workspaceId=workspace_id) as one,
        listen(elsewhere.url, bearer(bound), workspaceId=workspace_id) as two,
    ):
        for events in (one, two):
            await events.expect("ready")
        await remove(owner, workspace_id, admin)
        await write(platform, 77, workspace_id=UUID(workspace_id))
        for events in (one, two):
            while (event := await events.next()) is not None:
                assert event.event != "change" or event.data["version"] != 77


async def test_a_revoked_key_ends_its_streams_in_every_process(
    team: tuple[Person, Person, str], elsewhere: Elsewhere
) -> None:
    _, admin, workspace_id = team
    made, other = await make_key(admin), await make_key(admin, workspaceId=workspace_id)
    async with (
        listen(elsewhere.url, bearer(made), workspaceId=workspace_id) as one,
        listen(elsewhere.url, bearer(made)) as two,
        listen(elsewhere.url, bearer(other), workspaceId=workspace_id) as three,
    ):
        for events in (one, two, three):
            await events.expect("ready")
        assert (await admin.client.delete(f"/api/api-keys/{made['apiKey']['id']}")).status_code == 204
        for reason, seconds in await asyncio.gather(ending_of(one), ending_of(two)):
            assert reason == "session_ended"
            assert seconds < SOON_S
        assert three.received.empty(), "another key's stream goes on"


async def test_without_a_signal_the_end_comes_within_five_seconds(
    team: tuple[Person, Person, str], elsewhere: Elsewhere
) -> None:
    """A signal is a hint: a server that hears none looks again by itself."""
    _, admin, workspace_id = team
    made = await make_key(admin, workspaceId=workspace_id)
    hub, cache = elsewhere.platform.part(StreamHub), elsewhere.platform.part(SessionCache)
    elsewhere.platform.signals._listeners.clear()
    path = f"/api/workspaces/{workspace_id}"
    async with (
        httpx.AsyncClient(base_url=elsewhere.url, trust_env=False, verify=False, headers=bearer(made)) as there,
        listen(elsewhere.url, bearer(made), workspaceId=workspace_id) as events,
    ):
        await events.expect("ready")
        assert (await there.get(path)).status_code == 200
        assert cache.get(made["token"]) is not None
        assert len(hub) == 1
        began = time.monotonic()
        assert (await admin.client.delete(f"/api/api-keys/{made['apiKey']['id']}")).status_code == 204
        assert (await ending_of(events))[1] < SOON_S
        while (await there.get(path)).status_code == 200:
            assert time.monotonic() - began < SOON_S + 0.5
            await asyncio.sleep(0.05)


async def test_a_key_of_a_workspace_hears_nothing_of_its_makers_own(
    team: tuple[Person, Person, str], elsewhere: Elsewhere, platform: Platform
) -> None:
    _, admin, workspace_id = team
    made = await make_key(admin, workspaceId=workspace_id)
    async with listen(elsewhere.url, bearer(made), workspaceId=workspace_id) as events:
        ready = await events.expect("ready")
        own, _, _ = ready.data["id"].partition("-")
        assert own == "0"
        await write(platform, 5, user_ids=[admin.id])
        async with platform.database.transaction() as session:
            payload = orjson.dumps([[str(admin.id), 99, 1], [workspace_id, 7, 1]]).decode()
            await signals.publish(session, BALANCE_CHANNEL, payload)
        balance = await events.expect("credits.balance")
        assert (balance.data["workspaceId"], balance.data["available"]) == (workspace_id, 7)
        await write(platform, 6, workspace_id=UUID(workspace_id))
        change = await events.expect("change")
        assert change.data["version"] == 6
        last = change.id
    async with listen(elsewhere.url, bearer(made), last_id=last, workspaceId=workspace_id) as events:
        assert (await events.expect("ready")).data == {"id": last, "reset": False}
        await write(platform, 8, workspace_id=UUID(workspace_id))
        assert await events.numbers(1) == [8]


async def test_tickets_of_a_key_open_what_the_key_opens(
    team: tuple[Person, Person, str], elsewhere: Elsewhere
) -> None:
    owner, admin, workspace_id = team
    made = await make_key(admin, workspaceId=workspace_id)
    async with httpx.AsyncClient(base_url=elsewhere.url, trust_env=False, verify=False) as there:
        own = await there.post("/api/stream/tickets", json={}, headers=bearer(made))
        assert own.status_code == 404
        tickets = [
            (await there.post("/api/stream/tickets", json={"workspaceId": workspace_id}, headers=bearer(made))).json()
            for _ in range(2)
        ]
        async with listen(elsewhere.url, {}, ticket=tickets[0]["ticket"]) as events:
            await events.expect("ready")
            assert (await admin.client.delete(f"/api/api-keys/{made['apiKey']['id']}")).status_code == 204
            assert (await ending_of(events))[0] == "session_ended"
        late = await there.get("/api/stream", params={"ticket": tickets[1]["ticket"]})
        assert (late.status_code, late.json()["code"]) == (401, "unauthorized")
    assert (await owner.client.get(f"/api/workspaces/{workspace_id}")).status_code == 200


async def test_changes_name_the_key_they_were_made_with(
    team: tuple[Person, Person, str], elsewhere: Elsewhere, platform: Platform
) -> None:
    """In the request's own transaction; and through an event that a worker picks up, long after the request."""
    owner, admin, workspace_id = team
    made = await make_key(admin)
    headers = bearer(made)
    async with aclosing(client_of(elsewhere.app)) as there:
        before = (await there.get("/api/changes", headers=headers)).json()["nextCursor"]
        wanted = {"categories": [{"category": "CREDITS", "mail": False}]}
        answer = await there.put("/api/notifications/preferences", json=wanted, headers=headers)
        assert answer.status_code == 200, answer.text
        feed = (await there.get("/api/changes", headers=headers, params={"cursor": before})).json()["changes"]
        by_hand = await admin.client.put("/api/notifications/preferences", json={"categories": []})
        assert by_hand.status_code == 200
        after = (await there.get("/api/changes", headers=headers, params={"cursor": before})).json()["changes"]
    assert [(one["actorUserId"], one["actorKeyId"]) for one in feed] == [(str(admin.id), made["apiKey"]["id"])]
    assert (after[-1]["actorUserId"], after[-1]["actorKeyId"]) == (str(admin.id), None)
    await record_workspace.run(
        JobContext(platform, "test"),
        WorkspaceChanged(
            id=platform.randomness.uuid(),
            workspace_id=UUID(workspace_id),
            action="updated",
            version=9,
            actor_user_id=admin.id,
            actor_key_id=UUID(made["apiKey"]["id"]),
        ),
    )
    feed = (await owner.client.get("/api/changes", params={"workspaceId": workspace_id})).json()["changes"]
    assert (feed[-1]["version"], feed[-1]["actorKeyId"]) == (9, made["apiKey"]["id"])


async def test_what_a_key_does_to_a_workspace_is_told_with_the_key(
    team: tuple[Person, Person, str], client: httpx.AsyncClient, platform: Platform
) -> None:
    """The event carries it to whoever works on it."""
    _, admin, workspace_id = team
    made = await make_key(admin)
    path = f"/api/workspaces/{workspace_id}"
    assert (await client.patch(path, json={"description": "By a key"}, headers=bearer(made))).status_code == 200
    async with platform.database.reading() as session:
        payloads = await session.scalars(
            text("SELECT convert_from(payload, 'UTF8') FROM pgqueuer WHERE entrypoint LIKE 'workspace.changed>%'")
        )
        told = [orjson.loads(one) for one in payloads if workspace_id in one]
    assert {one["actor_key_id"] for one in told if one["action"] == "updated"} == {made["apiKey"]["id"]}
