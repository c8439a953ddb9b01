"""What is recorded, in which order, and what is not."""

import asyncio
import random
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from fastapi import Depends, FastAPI
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.db import SessionDep, before_commit
from pm_api.core.errors import Conflict
from pm_api.core.events import Event
from pm_api.core.idempotency import api_router
from pm_api.core.jobs import Job, JobContext
from pm_api.core.platform import Platform, PlatformDep
from pm_api.core.problem import install_error_handlers
from pm_api.domains.changes import jobs, service
from pm_api.domains.changes.errors import CursorExpired
from pm_api.domains.changes.models import Feed
from pm_api.identity.events import MemberChanged, WorkspaceChanged
from pm_api.identity.guards import signed_in
from tests.conftest import client_of
from tests.domains.changes.people import new_caller, new_scope, new_workspace
from tests.domains.changes.writing import note, stored, write
from tests.support.clock import MovableClock


async def follow(platform: Platform, workspace_id: UUID, until: asyncio.Event) -> list[int]:
    """Positions a poller sees, in the order it sees them, until the writers are done and the feed is read out."""
    scope = (await new_caller(platform)).within(workspace_id)
    seen: list[int] = []
    after = 0
    while True:
        finished = until.is_set()
        async with platform.database.reading() as session:
            page = await service.read(session, scope, after=after, limit=7)
        seen += [row.position for row in page.rows]
        after = page.position
        if finished and not page.has_more:
            return seen
        await asyncio.sleep(0)


async def test_positions_are_commit_order_and_no_reader_misses_one(platform: Platform) -> None:
    feed, other = sorted((uuid4(), uuid4()))
    dice = random.Random(20)

    async def linger(_session: AsyncSession) -> None:
        await asyncio.sleep(dice.random() * 0.01)

    async def writer(number: int) -> None:
        for turn in range(10):
            async with platform.database.transaction() as session:
                note(session, platform, number * 100 + turn, workspace_id=feed, user_ids=[other])
                await session.execute(select(1))
                await linger(session)
                # Between the position and COMMIT: here a sequence would let a later number become visible earlier.
                before_commit(session, "zzz.linger", linger)

    done = asyncio.Event()
    readers = [asyncio.create_task(follow(platform, feed, done)) for _ in range(3)]
    await asyncio.gather(*(writer(number) for number in range(8)))
    done.set()
    for seen in await asyncio.gather(*readers):
        assert seen == list(range(1, 81))
    assert [position for position, _ in await stored(platform, other)] == list(range(1, 81))
    numbers = [number for _, number in await stored(platform, feed)]
    assert sorted(numbers) == sorted(number * 100 + turn for number in range(8) for turn in range(10))


async def test_feeds_are_locked_in_one_order(platform: Platform) -> None:
    one, two = uuid4(), uuid4()
    await asyncio.gather(
        *(
            write(platform, workspace_id=workspace, user_ids=[user])
            for workspace, user in [(one, two), (two, one)] * 20
        )
    )
    assert len(await stored(platform, one)) == len(await stored(platform, two)) == 40


async def test_a_rollback_leaves_nothing_and_takes_no_position(platform: Platform) -> None:
    feed = uuid4()

    async def fail() -> None:
        async with platform.database.transaction() as session:
            note(session, platform, workspace_id=feed)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    await write(platform, 2, workspace_id=feed)
    assert await stored(platform, feed) == [(1, 2)]


async def test_what_a_savepoint_rolls_back_is_not_recorded(platform: Platform) -> None:
    feed = uuid4()
    async with platform.database.transaction() as session:
        note(session, platform, 1, workspace_id=feed)
        async with session.begin_nested():
            note(session, platform, 2, workspace_id=feed)
        outer = await session.begin_nested()
        note(session, platform, 3, workspace_id=feed)
        async with session.begin_nested():
            note(session, platform, 4, workspace_id=feed)
        await outer.rollback()
        note(session, platform, 5, workspace_id=feed)
    assert await stored(platform, feed) == [(1, 1), (2, 2), (3, 5)]


async def test_a_session_used_again_after_its_rollback_records_only_what_came_after(platform: Platform) -> None:
    feed = uuid4()
    async with platform.database.transaction() as session:
        note(session, platform, 1, workspace_id=feed)
        await session.rollback()
        note(session, platform, 2, workspace_id=feed)
    assert await stored(platform, feed) == [(1, 2)]


async def test_a_callback_before_commit_may_still_record(platform: Platform) -> None:
    """The ledger takes its locks last, and then has something to tell."""
    feeds = [uuid4(), uuid4()]

    async def late(session: AsyncSession) -> None:
        note(session, platform, 2, workspace_id=feeds[0])

    async with platform.database.transaction() as session:
        note(session, platform, 1, workspace_id=feeds[0])
        before_commit(session, "ledger", late)
    assert await stored(platform, feeds[0]) == [(1, 1), (2, 2)]

    async def alone(session: AsyncSession) -> None:
        note(session, platform, 3, workspace_id=feeds[1])

    async with platform.database.transaction() as session:
        before_commit(session, "ledger", alone)
    assert await stored(platform, feeds[1]) == [(1, 3)]


async def test_a_refusal_under_an_idempotency_key_records_nothing(platform: Platform) -> None:
    refused, accepted = uuid4(), uuid4()
    router = api_router(tag="test")

    @router.post("/refuse", operation_id="refuse", dependencies=[Depends(signed_in)])
    async def refuse(session: SessionDep, parts: PlatformDep) -> None:
        note(session, parts, workspace_id=refused)
        raise Conflict

    @router.post("/accept", operation_id="accept", dependencies=[Depends(signed_in)])
    async def accept(session: SessionDep, parts: PlatformDep) -> dict[str, bool]:
        note(session, parts, workspace_id=accepted)
        return {"done": True}

    app = FastAPI()
    app.state.platform = platform
    app.include_router(router)
    install_error_handlers(app)
    person = await new_caller(platform)
    async with client_of(app, headers={**person.headers, "Idempotency-Key": "one"}) as client:
        for _ in range(2):
            assert (await client.post("/api/refuse")).status_code == 409
            assert (await client.post("/api/accept")).json() == {"done": True}
    assert await stored(platform, refused) == []
    assert await stored(platform, accepted) == [(1, 1)]


async def test_many_changes_of_one_session_keep_their_order(platform: Platform) -> None:
    feed = uuid4()
    async with platform.database.transaction() as session:
        for number in range(300):
            note(session, platform, number, workspace_id=feed)
    assert await stored(platform, feed) == [(number + 1, number) for number in range(300)]


async def test_a_reader_sees_only_the_circles_they_are_in(platform: Platform) -> None:
    inside, outside = await new_caller(platform), await new_caller(platform)
    workspace_id = await new_workspace(platform, inside, outside)
    scope_id = await new_scope(platform, workspace_id, inside)
    for number, scope in enumerate([None, scope_id, None, scope_id], 1):
        await write(platform, number, workspace_id=workspace_id, scope_id=scope)

    async def numbers(person: object, limit: int = 50) -> tuple[list[int], int, bool]:
        assert isinstance(person, type(inside))
        async with platform.database.reading() as session:
            page = await service.read(session, person.within(workspace_id), after=None, limit=limit)
        return [row.version for row in page.rows], page.position, page.has_more

    assert await numbers(inside) == ([1, 2, 3, 4], 4, False)
    assert await numbers(outside) == ([1, 3], 4, False)
    assert await numbers(outside, limit=1) == ([1], 1, True)


async def test_a_second_delivery_of_an_event_writes_nothing(platform: Platform) -> None:
    workspace_id, user_id, member_id = uuid4(), uuid4(), uuid4()
    workspace = WorkspaceChanged(
        id=uuid4(), workspace_id=workspace_id, action="updated", version=2, actor_user_id=user_id
    )
    member = MemberChanged(
        id=uuid4(),
        workspace_id=workspace_id,
        member_id=member_id,
        user_id=user_id,
        action="added",
        version=1,
        actor_user_id=None,
    )
    context = JobContext(platform, "test")

    async def deliver(subscriber: Job[Event], event: Event) -> None:
        await subscriber.run(context, event)

    for _ in range(2):
        await asyncio.gather(
            *(jobs.record_workspace.run(context, workspace) for _ in range(3)),
            *(jobs.record_member.run(context, member) for _ in range(3)),
        )
    async with platform.database.reading() as session:
        scope = (await new_caller(platform)).within(workspace_id)
        rows = (await service.read(session, scope, after=None, limit=50)).rows
    assert sorted((row.entity, row.entity_id, row.action) for row in rows) == [
        ("member", member_id, "added"),
        ("workspace", workspace_id, "updated"),
    ]
    assert len(await stored(platform, user_id)) == 1


async def test_old_changes_are_forgotten_and_an_old_cursor_is_told(fresh_platform: Platform) -> None:
    platform = fresh_platform
    clock = platform.clock
    assert isinstance(clock, MovableClock)
    person = await new_caller(platform)
    for number in (1, 2):
        await write(platform, number, user_ids=[person.id])
    clock.advance(days=20)
    await write(platform, 3, user_ids=[person.id])
    clock.shift_to(timedelta(days=11))
    await jobs.prune(JobContext(platform, "test"))
    assert await stored(platform, person.id) == [(3, 3)]
    async with platform.database.reading() as session:
        with pytest.raises(CursorExpired):
            await service.read(session, person.scope, after=1, limit=50)
        for start in (None, 2):
            page = await service.read(session, person.scope, after=start, limit=50)
            assert [row.position for row in page.rows] == [3]
    await write(platform, 4, user_ids=[person.id])
    assert await stored(platform, person.id) == [(3, 3), (4, 4)]


async def test_a_quiet_session_touches_no_feed(platform: Platform) -> None:
    async with platform.database.reading() as session:
        before = await session.scalar(select(func.count()).select_from(Feed))
    async with platform.database.transaction() as session:
        nested = await session.begin_nested()
        note(session, platform, workspace_id=uuid4())
        await nested.rollback()
    async with platform.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Feed)) == before
