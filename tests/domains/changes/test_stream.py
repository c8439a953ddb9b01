"""GET /api/stream over a real server."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.pool import QueuePool

from pm_api.app import create_app
from pm_api.core import signals, telemetry
from pm_api.core.actor import Actor, ActorKind, ApiKeyGrant, UserScope
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.domains.changes import hub as hub_module
from pm_api.domains.changes import jobs, repository
from pm_api.domains.changes.hub import BALANCE_CHANNEL, StreamHub
from pm_api.domains.changes.repository import Bounds
from pm_api.identity.events import MemberChanged
from pm_api.identity.models.people import Member, UserSession
from pm_api.identity.permissions import Role
from tests.conftest import open_platform
from tests.domains.changes.events import Events, listen
from tests.domains.changes.people import Caller, end_session, new_caller, new_scope, new_workspace
from tests.domains.changes.test_polling import ticket_for
from tests.domains.changes.writing import note, write
from tests.support.clock import MovableClock
from tests.support.server import serve
from tests.support.settings import settings_for


@pytest.fixture(scope="module")
async def server(app: FastAPI) -> AsyncIterator[str]:
    async with serve(app) as base_url:
        yield base_url


@pytest.fixture(autouse=True)
async def all_streams_closed(platform: Platform) -> AsyncIterator[None]:
    """A stream whose client has gone must not stay behind."""
    yield
    hub = platform.part(StreamHub)
    for _ in range(200):
        if not len(hub):
            break
        await asyncio.sleep(0.01)
    assert len(hub) == 0
    assert not hub._streams
    assert not hub._tick_of
    assert not hub._of_user


async def wait_for_idle(hub: StreamHub, count: int) -> None:
    """Until so many streams are open and none of them reads."""
    for _ in range(300):
        if len(hub) == count and not hub._reads:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(hub)} streams are open, not {count}")


async def wait_for_none_held(pool: QueuePool, usual: int) -> None:
    """Until nothing is taken from the pool but what usually is; a read gives its connection back after its answer."""
    for _ in range(300):
        if pool.checkedout() <= usual:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{pool.checkedout()} connections are held, not {usual}")


async def announce(platform: Platform, *balances: tuple[object, int, int]) -> None:
    async with platform.database.transaction() as session:
        payload = orjson.dumps([[str(account), available, seq] for account, available, seq in balances]).decode()
        await signals.publish(session, BALANCE_CHANNEL, payload)


async def test_a_change_arrives_as_it_is_committed(server: str, platform: Platform) -> None:
    person = await new_caller(platform)
    workspace_id = await new_workspace(platform, person)
    await write(platform, 1, workspace_id=workspace_id)
    async with listen(server, person.headers, workspaceId=workspace_id) as events:
        ready = await events.expect("ready")
        assert ready.data == {"id": "0-1", "reset": False}
        assert ready.id == "0-1"
        assert ready.retry is not None
        assert events.response.headers["cache-control"] == "no-cache"
        began = time.monotonic()
        await write(platform, 2, workspace_id=workspace_id, actor_user_id=person.id)
        change = await events.expect("change")
        assert time.monotonic() - began < 1
        assert change.id == "0-2"
        assert change.data["workspaceId"] == str(workspace_id)
        assert (change.data["version"], change.data["position"]) == (2, 2)
        await write(platform, 3, user_ids=[person.id])
        own = await events.expect("change")
        assert (own.id, own.data["workspaceId"]) == ("1-2", None)


async def test_a_stream_without_a_workspace_is_ones_own(server: str, platform: Platform) -> None:
    person = await new_caller(platform)
    workspace_id = await new_workspace(platform, person)
    async with listen(server, person.headers) as events:
        await events.expect("ready")
        await write(platform, 1, workspace_id=workspace_id)
        await write(platform, 2, user_ids=[person.id])
        assert await events.numbers(1) == [2]
        assert events.last_id == "1-0"


async def test_private_circles_stay_private(server: str, platform: Platform) -> None:
    inside, outside = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, inside, outside)
    scope_id = await new_scope(platform, workspace_id, inside)
    async with (
        listen(server, inside.headers, workspaceId=workspace_id) as there,
        listen(server, outside.headers, workspaceId=workspace_id) as elsewhere,
    ):
        for events in (there, elsewhere):
            await events.expect("ready")
        async with platform.database.transaction() as session:
            note(session, platform, 1, workspace_id=workspace_id, scope_id=scope_id)
            note(session, platform, 2, workspace_id=workspace_id)
        assert await there.numbers(2) == [1, 2]
        assert await elsewhere.numbers(1) == [2]
    async with listen(server, outside.headers, workspaceId=workspace_id, last_id="0-0") as again:
        await again.expect("ready")
        assert await again.numbers(1) == [2]


async def test_what_only_admins_may_read_is_told_to_them_alone(server: str, platform: Platform) -> None:
    owner, member = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, owner, member)
    async with (
        listen(server, owner.headers, workspaceId=workspace_id) as above,
        listen(server, member.headers, workspaceId=workspace_id) as below,
    ):
        for events in (above, below):
            await events.expect("ready")
        async with platform.database.transaction() as session:
            note(session, platform, 1, workspace_id=workspace_id, least_role=Role.ADMIN)
            note(session, platform, 2, workspace_id=workspace_id, least_role=Role.MEMBER)
            note(session, platform, 3, user_ids=[member.id], least_role=Role.ADMIN)
        assert await above.numbers(2) == [1, 2]
        assert sorted(await below.numbers(2)) == [2, 3]


async def test_nothing_is_lost_or_repeated_over_fifty_reconnects(server: str, platform: Platform) -> None:
    person = await new_caller(platform)
    workspace_id = await new_workspace(platform, person)
    dice = random.Random(50)
    total = 400

    async def writer() -> None:
        for number in range(1, total + 1):
            feed: dict[str, Any] = {"workspace_id": workspace_id} if number % 3 else {"user_ids": [person.id]}
            await write(platform, number, **feed)
            await asyncio.sleep(dice.random() * 0.008)

    writing = asyncio.create_task(writer())
    seen: list[int] = []
    last_id: str | None = "0-0"
    connections = 0
    while len(seen) < total:
        connections += 1
        async with listen(server, person.headers, last_id=last_id, workspaceId=workspace_id) as events:
            assert (await events.expect("ready")).id == last_id
            for _ in range(dice.randrange(0, 8) if connections <= 50 else total):
                if len(seen) == total:
                    break
                seen += await events.numbers(1)
            last_id = events.last_id
    await writing
    assert connections > 50
    assert sorted(seen) == list(range(1, total + 1))
    for own in (True, False):
        feed = [number for number in seen if (number % 3 == 0) is own]
        assert feed == sorted(feed), "each feed comes in its order"


async def test_a_long_backlog_comes_whole(server: str, platform: Platform) -> None:
    person = await new_caller(platform)
    async with platform.database.transaction() as session:
        for number in range(hub_module.BATCH_ROWS * 2 + 5):
            note(session, platform, number, user_ids=[person.id])
    async with listen(server, person.headers, lastEventId="3-0") as events:
        await events.expect("ready")
        assert await events.numbers(hub_module.BATCH_ROWS * 2 + 2) == list(range(3, hub_module.BATCH_ROWS * 2 + 5))


async def test_what_is_no_longer_kept_asks_for_a_reset(server: str, platform: Platform) -> None:
    person = await new_caller(platform)
    await write(platform, 1, user_ids=[person.id])
    async with listen(server, person.headers, last_id="99-0") as events:
        assert (await events.expect("ready")).data == {"id": "1-0", "reset": True}
        await write(platform, 2, user_ids=[person.id])
        assert await events.numbers(1) == [2]


async def test_idle_streams_hold_no_connection(
    server: str, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = platform.database.engine.pool
    assert isinstance(pool, QueuePool)
    hub = platform.part(StreamHub)
    people = [await new_caller(platform) for _ in range(5)]
    workspace_id = await new_workspace(platform, *people)
    baseline = pool.checkedout()
    reads = 0
    read_table = hub._read_table

    async def counted(*arguments: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read_table(*arguments)

    async with AsyncExitStack() as stack:
        streams: list[Events] = [
            await stack.enter_async_context(listen(server, people[number % 5].headers, workspaceId=workspace_id))
            for number in range(50)
        ]
        for events in streams:
            await events.expect("ready")
        await wait_for_idle(hub, 50)
        await wait_for_none_held(pool, baseline)
        assert telemetry.STREAMS._value.get() == 50
        monkeypatch.setattr(hub, "_read_table", counted)
        await write(platform, 7, workspace_id=workspace_id)
        for events in streams:
            assert await events.numbers(1) == [7]
        assert reads == 1, "streams that wake together share one read"
        await wait_for_idle(hub, 50)
        await wait_for_none_held(pool, baseline)


async def test_an_ended_session_ends_its_streams(server: str, platform: Platform) -> None:
    person, other = await new_caller(platform), await new_caller(platform)
    async with listen(server, person.headers) as events, listen(server, other.headers) as kept:
        await events.expect("ready")
        await kept.expect("ready")
        began = time.monotonic()
        await end_session(platform, person)
        assert (await events.expect("end")).data == {"reason": "session_ended"}
        assert await events.next() is None
        assert time.monotonic() - began < 5
        await write(platform, 1, user_ids=[other.id])
        assert await kept.numbers(1) == [1]


async def test_a_session_that_ends_without_a_signal_ends_its_streams_too(server: str, platform: Platform) -> None:
    person = await new_caller(platform)
    async with listen(server, person.headers) as events:
        await events.expect("ready")
        async with platform.database.transaction() as session:
            await session.execute(
                update(UserSession)
                .where(UserSession.id == person.session_id)
                .values(expires_at=platform.clock.wall())
            )
        began = time.monotonic()
        assert (await events.expect("end")).data == {"reason": "session_ended"}
        assert time.monotonic() - began < 5


async def test_a_removed_member_is_followed_no_more(server: str, platform: Platform) -> None:
    owner, member = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, owner, member)
    async with (
        listen(server, member.headers, workspaceId=workspace_id) as events,
        listen(server, owner.headers, workspaceId=workspace_id) as kept,
    ):
        await events.expect("ready")
        await kept.expect("ready")
        async with platform.database.transaction() as session:
            await session.execute(delete(Member).where(Member.user_id == member.id))
        began = time.monotonic()
        assert (await events.expect("end")).data == {"reason": "membership_ended"}
        assert time.monotonic() - began < 5
        await write(platform, 1, workspace_id=workspace_id)
        assert await kept.numbers(1) == [1]


async def remove(platform: Platform, workspace_id: UUID, person: Caller) -> None:
    """The row alone: what tells of it is written by a job, a moment later."""
    async with platform.database.transaction() as session:
        await session.execute(delete(Member).where(Member.workspace_id == workspace_id, Member.user_id == person.id))


@pytest.fixture
def no_beat(monkeypatch: pytest.MonkeyPatch, platform: Platform) -> None:
    async def nothing() -> None:
        return

    monkeypatch.setattr(platform.part(StreamHub), "_check", nothing)


async def test_nothing_after_a_removal_reaches_the_removed(server: str, platform: Platform, no_beat: None) -> None:
    owner, member, other = [await new_caller(platform) for _ in range(3)]
    workspace_id = await new_workspace(platform, owner, member, other)
    async with (
        listen(server, member.headers, workspaceId=workspace_id) as changes,
        listen(server, other.headers, workspaceId=workspace_id) as balances,
        listen(server, owner.headers, workspaceId=workspace_id) as kept,
    ):
        for events in (changes, balances, kept):
            await events.expect("ready")
        await write(platform, 1, workspace_id=workspace_id)
        for events in (changes, balances, kept):
            assert await events.numbers(1) == [1]
        await remove(platform, workspace_id, other)
        await announce(platform, (workspace_id, 900, 12))
        assert (await balances.expect("end")).data == {"reason": "membership_ended"}
        for events in (changes, kept):
            assert (await events.expect("credits.balance")).data["available"] == 900
        await remove(platform, workspace_id, member)
        await write(platform, 2, workspace_id=workspace_id)
        assert (await changes.expect("end")).data == {"reason": "membership_ended"}
        assert await kept.numbers(1) == [2]


async def test_the_removal_itself_is_the_last_thing_told(server: str, platform: Platform, no_beat: None) -> None:
    owner, member = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, owner, member)
    removal = {"entity": "membership", "entity_id": workspace_id, "action": "removed", "user_ids": [member.id]}
    await write(platform, 1, **removal)
    async with listen(server, member.headers, workspaceId=workspace_id, last_id="0-0") as events:
        await events.expect("ready")
        assert await events.numbers(1) == [1]
        await write(platform, 2, workspace_id=workspace_id)
        assert await events.numbers(1) == [2], "an old removal is history to somebody who has come back"
        await remove(platform, workspace_id, member)
        await write(platform, 3, **removal)
        assert await events.numbers(1) == [3]
        assert (await events.expect("end")).data == {"reason": "membership_ended"}


async def test_a_stream_lives_ten_minutes(server: str, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_module.LIFETIME_S == 600
    person = await new_caller(platform)
    async with listen(server, person.headers) as events:
        await events.expect("ready")
        monkeypatch.setattr(hub_module, "LIFETIME_S", 0.0)
        assert (await events.expect("end")).data == {"reason": "lifetime"}
        assert await events.next() is None


async def test_another_process_hears_it(server: str, platform: Platform, worker_database: str) -> None:
    person = await new_caller(platform)
    workspace_id = await new_workspace(platform, person)
    async with (
        open_platform(settings_for(worker_database), MovableClock()) as second,
        serve(create_app(second.settings, second)) as second_server,
        listen(second_server, person.headers, workspaceId=workspace_id) as events,
    ):
        await events.expect("ready")
        await write(platform, 1, workspace_id=workspace_id)
        assert await events.numbers(1) == [1]
        await end_session(platform, person)
        assert (await events.expect("end")).data == {"reason": "session_ended"}


async def test_balances_reach_their_owners(server: str, platform: Platform) -> None:
    person, other = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, person, other)
    async with (
        listen(server, person.headers, workspaceId=workspace_id) as events,
        listen(server, other.headers) as elsewhere,
    ):
        await events.expect("ready")
        await elsewhere.expect("ready")
        await announce(platform, (person.id, 40, 3))
        own = await events.expect("credits.balance")
        assert own.id is None
        assert own.data == {"accountId": str(person.id), "workspaceId": None, "available": 40, "seq": 3}
        await announce(platform, (workspace_id, 900, 12), (other.id, 5, 1))
        pool = await events.expect("credits.balance")
        assert pool.data == {
            "accountId": str(workspace_id), "workspaceId": str(workspace_id), "available": 900, "seq": 12
        }  # fmt: skip
        assert (await elsewhere.expect("credits.balance")).data["available"] == 5
        assert events.last_id == "0-0"


async def test_a_guest_is_not_told_what_a_workspace_has_left(server: str, platform: Platform) -> None:
    owner, guest, viewer = [await new_caller(platform) for _ in range(3)]
    workspace_id = await new_workspace(platform, owner, guest, viewer)
    await give_role(platform, workspace_id, guest, "GUEST")
    await give_role(platform, workspace_id, viewer, "VIEWER")
    async with (
        listen(server, guest.headers, workspaceId=workspace_id) as outside,
        listen(server, viewer.headers, workspaceId=workspace_id) as inside,
    ):
        await outside.expect("ready")
        await inside.expect("ready")
        await announce(platform, (workspace_id, 900, 12))
        assert (await inside.expect("credits.balance")).data["available"] == 900
        await announce(platform, (guest.id, 40, 3))
        assert (await outside.expect("credits.balance")).data["available"] == 40, "their own alone"
        await give_role(platform, workspace_id, guest, "MEMBER")
        await announce(platform, (workspace_id, 800, 13))
        assert (await outside.expect("credits.balance")).data["available"] == 800


async def give_role(platform: Platform, workspace_id: UUID, person: Caller, role: str) -> None:
    async with platform.database.transaction() as session:
        await session.execute(
            update(Member).where(Member.workspace_id == workspace_id, Member.user_id == person.id).values(role=role)
        )


@pytest.mark.parametrize(
    ("scopes", "heard"), [({"workspace:read"}, False), ({"workspace:read", "credits:read"}, True)]
)
async def test_a_key_hears_of_balances_only_if_it_may_read_them(
    platform: Platform, scopes: set[str], heard: bool
) -> None:
    person = await new_caller(platform)
    key = ApiKeyGrant(platform.randomness.uuid(), None, frozenset(scopes))
    hub = platform.part(StreamHub)
    stream = await hub.open(UserScope(Actor(ActorKind.API_KEY, person.id, api_key=key), person.id), None)
    try:
        hub.on_balances(orjson.dumps([[str(person.id), 9, 1]]).decode())
        assert bool(stream.balances) is heard
    finally:
        hub.close(stream)


async def test_only_the_newest_balance_waits_for_a_slow_client(platform: Platform) -> None:
    person = await new_caller(platform)
    hub = platform.part(StreamHub)
    stream = await hub.open(person.scope, None)
    try:
        for available, seq in [(9, 1), (7, 3), (8, 2)]:
            hub.on_balances(orjson.dumps([[str(person.id), available, seq]]).decode())
        assert stream.balances == {person.id: (7, 3)}
    finally:
        hub.close(stream)


async def test_after_lost_signals_every_stream_looks_again(
    server: str, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await new_caller(platform)
    hub = platform.part(StreamHub)
    async with listen(server, person.headers) as events:
        await events.expect("ready")
        deaf = dict(platform.signals._listeners)
        platform.signals._listeners.clear()
        await write(platform, 1, user_ids=[person.id])
        await asyncio.sleep(0.1)
        platform.signals._listeners.update(deaf)
        assert events.received.empty()
        hub.on_reset()
        assert (await events.expect("ready")).data == {"id": "0-0", "reset": False}
        assert await events.numbers(1) == [1]


async def test_a_change_between_opening_and_the_first_look_is_not_lost(
    server: str, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await new_caller(platform)
    bounds_of = repository.bounds_of

    async def slow_bounds(session: AsyncSession, feed_ids: Collection[UUID]) -> dict[UUID, Bounds]:
        found = await bounds_of(session, feed_ids)
        await write(platform, 1, user_ids=[person.id])
        await asyncio.sleep(0.1)
        return found

    monkeypatch.setattr(repository, "bounds_of", slow_bounds)
    async with listen(server, person.headers) as events:
        assert (await events.expect("ready")).id == "0-0"
        assert await events.numbers(1) == [1]


async def test_nobody_shares_a_read_that_is_older_than_the_signal(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await new_caller(platform)
    hub = platform.part(StreamHub)
    stream = await hub.open(person.scope, None)
    changes_after = repository.changes_after
    looked, go_on = asyncio.Event(), asyncio.Event()

    async def slow_look(*arguments: Any) -> Any:
        found = await changes_after(*arguments)
        if not looked.is_set():
            looked.set()
            await go_on.wait()
        return found

    monkeypatch.setattr(repository, "changes_after", slow_look)
    try:
        early = asyncio.create_task(hub._read(person.id, 0))
        await looked.wait()
        await write(platform, 1, user_ids=[person.id])
        await asyncio.wait_for(stream.woken.wait(), 5)
        late = await asyncio.wait_for(hub._read(person.id, 0), 5)
        assert late is not None
        assert [row.change.position for row in late.rows] == [1]
        go_on.set()
        before = await early
        assert before is not None
        assert before.rows == []
    finally:
        go_on.set()
        hub.close(stream)


async def test_a_database_that_is_away_ends_the_stream_politely(
    server: str, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await new_caller(platform)

    async def away(*_arguments: Any) -> Any:
        raise OSError("no route to the database")

    async with listen(server, person.headers) as events:
        await events.expect("ready")
        with monkeypatch.context() as patched:
            patched.setattr(repository, "changes_after", away)
            await write(platform, 1, user_ids=[person.id])
            assert (await events.expect("end")).data == {"reason": "unavailable"}
    async with listen(server, person.headers, last_id=events.last_id) as again:
        await again.expect("ready")
        assert await again.numbers(1) == [1]


async def test_a_ticket_opens_one_stream(server: str, platform: Platform, client: httpx.AsyncClient) -> None:
    person = await new_caller(platform)
    workspace_id = await new_workspace(platform, person)
    ticket = await ticket_for(client, person, workspace_id)
    async with listen(server, {}, ticket=ticket, workspaceId=workspace_id) as events:
        await events.expect("ready")
        await write(platform, 1, workspace_id=workspace_id)
        assert await events.numbers(1) == [1]
        answer = await client.get("/api/stream", params={"ticket": ticket})
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_ticket")
        await end_session(platform, person)
        await events.expect("end")


async def test_one_ticket_shown_twice_at_once_opens_one_stream(
    server: str, platform: Platform, client: httpx.AsyncClient
) -> None:
    person = await new_caller(platform)
    ticket = await ticket_for(client, person)
    opened: list[bool] = []

    async def show() -> None:
        async with (
            httpx.AsyncClient(base_url=server, trust_env=False, verify=False) as caller,
            caller.stream("GET", "/api/stream", params={"ticket": ticket}) as response,
        ):
            opened.append(response.status_code == 200)

    await asyncio.gather(*(show() for _ in range(5)))
    assert sorted(opened) == [False, False, False, False, True]


async def test_streams_are_bounded(server: str, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    person, other = await new_caller(platform), await new_caller(platform)
    settings = platform.settings
    monkeypatch.setattr(settings, "streams_per_user", 1)
    monkeypatch.setattr(settings, "streams_per_process", 2)
    async with (
        httpx.AsyncClient(base_url=server, trust_env=False, verify=False) as client,
        listen(server, person.headers) as first,
        listen(server, other.headers) as second,
    ):
        await first.expect("ready")
        await second.expect("ready")
        full = await client.get("/api/stream", headers=(await new_caller(platform)).headers)
        assert (full.status_code, full.json()["code"]) == (503, "streams_exhausted")
        assert full.headers["retry-after"] == "10"
        monkeypatch.setattr(settings, "streams_per_process", 3)
        own = await client.get("/api/stream", headers=person.headers)
        assert (own.status_code, own.json()["code"]) == (429, "too_many_streams")
        assert own.headers["content-type"] == "application/problem+json"


async def test_a_server_that_stops_says_so(fresh_platform: Platform) -> None:
    person = await new_caller(fresh_platform)
    hub = fresh_platform.part(StreamHub)
    app = create_app(fresh_platform.settings, fresh_platform)
    async with AsyncExitStack() as clients:
        async with serve(app, before_stop=hub.end_all) as base_url:
            events = await clients.enter_async_context(listen(base_url, person.headers))
            await events.expect("ready")
        assert (await events.expect("end")).data == {"reason": "shutdown"}
        assert await events.next() is None


async def test_domain_events_arrive(server: str, platform: Platform) -> None:
    """From identity's event to the stream: the subscriber is a job, run here by hand."""
    owner, joined = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, owner, joined)
    event = MemberChanged(
        id=platform.randomness.uuid(),
        workspace_id=workspace_id,
        member_id=platform.randomness.uuid(),
        user_id=joined.id,
        action="added",
        version=1,
        actor_user_id=owner.id,
    )
    async with (
        listen(server, owner.headers, workspaceId=workspace_id) as at_work,
        listen(server, joined.headers) as own,
    ):
        await at_work.expect("ready")
        await own.expect("ready")
        await jobs.record_member.run(JobContext(platform, "test"), event)
        assert (await at_work.expect("change")).data["entity"] == "member"
        change = (await own.expect("change")).data
        assert (change["entity"], change["entityId"], change["action"]) == ("membership", str(workspace_id), "added")
