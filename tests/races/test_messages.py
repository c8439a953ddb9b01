"""A channel of a hundred: eight write and take back, twenty read, all at once; every counter is right at every look,
and nothing appears behind anybody's back.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import before_commit
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.messages import conversations, pages, reading, service
from pm_api.domains.messages.enums import NewKind
from pm_api.domains.messages.models import Message
from pm_api.domains.messages.repository import messages as message_rows
from pm_api.domains.messages.repository.messages import Newer, Within
from pm_api.domains.messages.rules import shown_count
from pm_api.domains.messages.schemas.conversations import ConversationCreate
from pm_api.domains.messages.schemas.messages import MessageCreate
from tests.domains.changes.people import Caller, new_caller, new_workspace
from tests.support.soak import rounds

MEMBERS = 100
POSTERS, READERS = 8, 20
SAID_BY_EACH = rounds(6, 1_000)
LONGEST_LINGER_S = 0.004
LONGEST_PAUSE_S = 0.1
READING_AT_ONCE = 8
"""With the writers fewer than a process has connections."""

pytestmark = [pytest.mark.xdist_group("processes")]


@dataclass
class Reader:
    """What one of them has read, page by page."""

    scope: WorkspaceScope
    seen: set[UUID] = field(default_factory=set)
    number: int = 0


@dataclass
class Channel:
    platform: Platform
    id: UUID
    people: list[Caller]
    workspace_id: UUID
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READING_AT_ONCE))

    def scope(self, number: int) -> WorkspaceScope:
        return self.people[number].within(self.workspace_id, "OWNER" if number == 0 else "MEMBER")


@pytest.fixture
async def channel(fresh_platform: Platform) -> Channel:
    people = [await new_caller(fresh_platform) for _ in range(MEMBERS)]
    workspace_id = await new_workspace(fresh_platform, *people)
    wanted = ConversationCreate(workspaceId=workspace_id, kind=NewKind.CHANNEL, name="Everybody")
    async with fresh_platform.database.transaction() as session:
        made = await conversations.create(session, fresh_platform, people[0].within(workspace_id, "OWNER"), wanted)
    return Channel(fresh_platform, made.id, people, workspace_id)


def lingering(session: AsyncSession, dice: random.Random) -> None:
    """Between the number and COMMIT: whoever reads now must not go on past it."""

    async def linger(_session: AsyncSession) -> None:
        await asyncio.sleep(dice.random() * LONGEST_LINGER_S)

    before_commit(session, "zzz.linger", linger)


async def write(channel: Channel, number: int) -> None:
    dice, scope, mine = random.Random(number), channel.scope(number), list[UUID]()
    for turn in range(SAID_BY_EACH):
        async with channel.platform.database.transaction() as session:
            wanted = MessageCreate(conversationId=channel.id, body=f"{number}: {turn}")
            said = await service.post(session, channel.platform, scope, wanted)
            lingering(session, dice)
        mine.append(said.id)
        if dice.random() < 0.2:
            gone = mine.pop(dice.randrange(len(mine)))
            async with channel.platform.database.transaction() as session:
                await service.delete(session, channel.platform, scope, gone, None)
                lingering(session, dice)
        await asyncio.sleep(0)


async def read(channel: Channel, reader: Reader, done: asyncio.Event) -> None:
    """Until nothing more comes: what is new, then the counter, then "read up to here" and the counter again."""
    dice, is_last = random.Random(str(reader.scope.user_id)), False
    while not is_last:
        is_last = done.is_set()
        async with channel.reading, channel.platform.database.reading() as session:
            stretch = Newer(reader.number)
            limit = 10_000 if is_last else dice.randint(1, 30)
            rows = await message_rows.page_of(session, channel.id, stretch, Within(), limit=limit)
        reader.seen |= {row.id for row in rows}
        if rows:
            reader.number = rows[-1].number
            # One of an older message, beside: reading never goes back.
            await asyncio.gather(*(read_up_to(channel, reader.scope, one.id) for one in (rows[-1], rows[0])))
        await asyncio.sleep(dice.random() * LONGEST_PAUSE_S)


async def read_up_to(channel: Channel, scope: WorkspaceScope, message_id: UUID) -> None:
    async with channel.reading, channel.platform.database.transaction() as session:
        await reading.read_up_to(session, channel.platform, scope, channel.id, message_id)


async def compare_all(channel: Channel, stop: asyncio.Event) -> int:
    """Meanwhile, again and again: one person's counter against a recount in the same snapshot; how often."""
    looks, dice = 0, random.Random(0)
    while not stop.is_set():
        async with channel.platform.database.session() as session:
            await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            await compare(channel, session, channel.scope(dice.randrange(MEMBERS)))
            await session.rollback()
        looks += 1
        await asyncio.sleep(LONGEST_PAUSE_S)
    return looks


async def compare(channel: Channel, session: AsyncSession, scope: WorkspaceScope) -> None:
    shown = await conversations.get(session, channel.platform, scope, channel.id)
    rows = (await session.scalars(select(Message).where(Message.conversation_id == channel.id))).all()
    left = [
        row
        for row in rows
        if row.number > shown.read_number and row.author_user_id != scope.user_id and row.deleted_at is None
    ]
    wanted = shown_count(len(left), shown.last_number - shown.read_number)
    assert (shown.unread, shown.has_more_unread) == wanted
    assert sorted(row.number for row in rows) == list(range(1, shown.last_number + 1))


async def test_every_counter_is_right_while_all_write_and_read(channel: Channel) -> None:
    readers = [Reader(channel.scope(number)) for number in range(4, 4 + READERS)]  # some of them write too
    written, stop = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(compare_all(channel, stop))
        listening = [group.create_task(read(channel, one, written)) for one in readers]
        await asyncio.gather(*(write(channel, number) for number in range(POSTERS)))
        written.set()
        await asyncio.gather(*listening)
        stop.set()
    assert looking.result() > 3

    async with channel.platform.database.reading() as session:
        rows = {row.id: row for row in await session.scalars(select(Message))}
        assert len(rows) == POSTERS * SAID_BY_EACH
        for number in range(MEMBERS):
            await compare(channel, session, channel.scope(number))
        for one in readers:
            passed = {row.id for row in rows.values() if row.number <= one.number}
            assert passed == one.seen, "something appeared behind the place they had read up to"
            shown = await conversations.get(session, channel.platform, one.scope, channel.id)
            assert (shown.read_number, shown.unread) == (len(rows), 0)
        idle = await conversations.get(session, channel.platform, channel.scope(MEMBERS - 1), channel.id)
        assert idle.read_number == 0
        living = Counter(row.deleted_at is None for row in rows.values())[True]
        assert (idle.unread, idle.has_more_unread) == shown_count(living, len(rows))
        page = await pages.of_conversation(
            session, channel.platform, channel.scope(0), channel.id, PageRequest(200, None), within=Within()
        )
        assert [one.number for one in page.messages] == list(range(len(rows), 0, -1))[:200]
