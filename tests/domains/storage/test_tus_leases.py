"""Broken lines, several processes, and processes that die: an upload goes on, and nobody's late bytes count."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import orjson
import pytest
from sqlalchemy import func, select, update

from pm_api.app import create_app
from pm_api.core.jobs import JobContext, TryAgain
from pm_api.core.platform import Platform
from pm_api.domains.storage import joining, lifecycle, sessions
from pm_api.domains.storage.enums import SessionState
from pm_api.domains.storage.keys import chunk_key, chunk_prefix
from pm_api.domains.storage.leases import LEASE, Leases
from pm_api.domains.storage.models import DoomedObject, StorageUsage, StoredObject, UploadChunk, UploadSession
from pm_api.domains.storage.repository import chunks
from pm_api.integrations.blobs import BlobDoor
from tests.conftest import Person, open_platform, register
from tests.domains.storage.hanging import hanging
from tests.domains.storage.tus_client import ask, begun, checksum, end, offset_of, send, some_bytes, upload_of
from tests.support.clock import MovableClock
from tests.support.queue import work_off
from tests.support.server import serve
from tests.support.settings import settings_for

DATA = some_bytes(200_000)


@dataclass
class Two:
    """Two processes of one installation, and somebody who calls either."""

    one: Platform
    other: Platform
    one_url: str
    other_url: str
    at_one: Person
    at_other: Person

    def clocks(self) -> list[MovableClock]:
        found = [self.one.clock, self.other.clock]
        return [one for one in found if isinstance(one, MovableClock)]


@pytest.fixture
async def two(fresh_database: str) -> AsyncIterator[Two]:
    settings = settings_for(fresh_database)
    async with open_platform(settings, MovableClock()) as one, open_platform(settings, MovableClock()) as other:
        first, second = create_app(settings, one, connect=False), create_app(settings, other, connect=False)
        at_one = await register(first)
        at_other = await register(second)
        at_other.client.headers["Authorization"] = at_one.client.headers["Authorization"]
        at_other.access_token = at_one.access_token
        async with serve(first) as one_url, serve(second) as other_url:
            yield Two(one, other, one_url, other_url, at_one, at_other)
            one.part(Leases).end_all()
            other.part(Leases).end_all()
        await at_one.client.aclose()
        await at_other.client.aclose()


def id_of(address: str) -> UUID:
    return UUID(address.rsplit("/", 1)[-1])


async def row_of(platform: Platform, address: str) -> UploadSession:
    async with platform.database.reading() as session:
        return await session.get_one(UploadSession, id_of(address))


async def keys_of(platform: Platform, address: str) -> set[str]:
    return {found.key async for found in platform.part(BlobDoor).list(chunk_prefix(id_of(address)))}


async def counted_keys(platform: Platform, address: str) -> set[str]:
    async with platform.database.reading() as session:
        found = await session.scalars(select(UploadChunk.key).where(UploadChunk.upload_id == id_of(address)))
        return set(found.all())


async def content_of(platform: Platform, address: str) -> bytes:
    row = await row_of(platform, address)
    return b"".join([piece async for piece in platform.part(BlobDoor).read(row.key)])


async def reserved_of(platform: Platform, person: Person) -> int:
    async with platform.database.reading() as session:
        found = await session.get(StorageUsage, person.id)
        return found.reserved if found is not None else 0


async def is_whole(two: Two, address: str, data: bytes = DATA) -> None:
    """The upload is a file, the very bytes, and nothing of it is left over."""
    upload = await upload_of(two.at_one, address)
    assert upload["state"] == "COMPLETED", upload
    assert upload["receipt"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert await content_of(two.one, address) == data
    assert await counted_keys(two.one, address) == set()
    assert await reserved_of(two.one, two.at_one) == 0


# --- hand-over ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_who_comes_back_goes_on_where_the_dead_connection_ended(two: Two, elsewhere: bool) -> None:
    """The line is dead, the server does not know: its PATCH still waits for bytes. Nobody is told 423."""
    address = await begun(two.at_one, len(DATA))
    async with hanging(two.one_url, two.at_one, address, 0, len(DATA)) as dead:
        await dead.send(DATA[:30_000])
        back = two.at_other if elsewhere else two.at_one
        assert await offset_of(back, address) == 30_000, "what had come is kept before the answer"
        assert (await send(back, address, 30_000, DATA[30_000:])).status_code == 204
        await is_whole(two, address)
        told = await dead.answer()
        assert (told.status, orjson.loads(told.body)["code"]) == (409, "upload_taken_over")
        assert told.headers["upload-offset"] == "30000"


async def test_who_sends_without_asking_takes_over_too(two: Two) -> None:
    address = await begun(two.at_one, len(DATA))
    async with hanging(two.one_url, two.at_one, address, 0, len(DATA)) as dead:
        await dead.send(DATA[:30_000])
        blind = await send(two.at_other, address, 0, DATA)
        assert (blind.status_code, blind.headers["Upload-Offset"]) == (409, "30000")
        assert (await send(two.at_other, address, 30_000, DATA[30_000:])).status_code == 204
    await is_whole(two, address)


async def test_what_a_fenced_connection_writes_later_counts_nowhere(two: Two) -> None:
    """The holder's process has lost its signals: it hears nobody, and reads on."""
    two.one.part(Leases).be_patient(handover_s=0.2)
    address = await begun(two.at_one, len(DATA))
    await two.other.signals.stop()
    async with hanging(two.other_url, two.at_other, address, 0, len(DATA)) as deaf:
        await deaf.send(DATA[:30_000])
        assert await offset_of(two.at_one, address) == 0, "it has kept nothing yet"
        assert (await send(two.at_one, address, 0, DATA[:100_000])).status_code == 204
        await deaf.send(b"\0" * (len(DATA) - 30_000))
        late = await deaf.answer()
        assert (late.status, orjson.loads(late.body)["code"]) == (409, "upload_taken_over")
    assert await keys_of(two.one, address) == await counted_keys(two.one, address), "its bytes are gone again"
    assert (await send(two.at_one, address, 100_000, DATA[100_000:])).status_code == 204
    await is_whole(two, address)


async def test_many_at_once_send_one_upload(two: Two) -> None:
    """Each goes by what it was told; whoever is late is told again. All end with the one file."""

    async def go_on(person: Person) -> int:
        refused = 0
        while True:
            asked = await ask(person, address)
            at = int(asked.headers["Upload-Offset"])
            if at == len(DATA):
                return refused
            answer = await send(person, address, at, DATA[at : at + 40_000])
            assert answer.status_code in (204, 409), answer.text
            refused += answer.status_code == 409

    address = await begun(two.at_one, len(DATA))
    async with asyncio.timeout(60):
        await asyncio.gather(*(go_on(one) for one in (two.at_one, two.at_other, two.at_one, two.at_other)))
    await is_whole(two, address)


# --- lines that break -----------------------------------------------------------------------------------------------


async def test_what_came_before_a_line_broke_is_kept(two: Two) -> None:
    address = await begun(two.at_one, len(DATA))
    async with hanging(two.one_url, two.at_one, address, 0, len(DATA)) as broken:
        await broken.send(DATA[:30_000])
        await broken.drop()
    assert await offset_of(two.at_one, address) == 30_000
    assert (await send(two.at_one, address, 30_000, DATA[30_000:])).status_code == 204
    await is_whole(two, address)


async def test_what_cannot_be_compared_is_not_kept(two: Two) -> None:
    """The checksum is of the whole piece, and the whole has not come."""
    address = await begun(two.at_one, len(DATA))
    async with hanging(two.one_url, two.at_one, address, 0, len(DATA), **checksum(DATA)) as broken:
        await broken.send(DATA[:30_000])
        await broken.drop()
    assert await offset_of(two.at_one, address) == 0
    assert await keys_of(two.one, address) == set()


async def test_a_silent_line_is_given_up(two: Two) -> None:
    two.one.part(Leases).be_patient(stall_s=0.3)
    address = await begun(two.at_one, len(DATA))
    async with hanging(two.one_url, two.at_one, address, 0, len(DATA)) as silent:
        await silent.send(DATA[:30_000])
        told = await silent.answer()
        assert (told.status, orjson.loads(told.body)["code"]) == (408, "upload_stalled")
        assert told.headers["upload-offset"] == "30000"
    assert len(two.one.part(Leases)) == 0
    assert (await row_of(two.one, address)).leased_until is None


async def test_a_process_that_stops_keeps_what_came(two: Two) -> None:
    address = await begun(two.at_one, len(DATA))
    async with hanging(two.one_url, two.at_one, address, 0, len(DATA)) as open_line:
        await open_line.send(DATA[:30_000])
        # What was sent has been read when an answer to something sent later has come.
        await upload_of(two.at_one, address)
        two.one.part(Leases).end_all()
        told = await open_line.answer()
        assert (told.status, "retry-after" in told.headers) == (503, True)
        assert told.headers["upload-offset"] == "30000"
    assert (await send(two.at_other, address, 30_000, DATA[30_000:])).status_code == 204
    await is_whole(two, address)


# --- processes that die ---------------------------------------------------------------------------------------------


async def test_bytes_without_their_row_are_sent_again(two: Two) -> None:
    """Killed between the two: the chunk lies in the store, nobody counts it, and the dead still hold the upload."""
    two.one.part(Leases).be_patient(handover_s=0.1)
    address = await begun(two.at_one, len(DATA))
    async with two.one.database.transaction() as session:
        held = update(UploadSession).where(UploadSession.id == id_of(address))
        until = two.one.clock.wall() + LEASE
        await session.execute(held.values(lease_epoch=1, leased_until=until))
    await two.one.part(BlobDoor).put(chunk_key(id_of(address), 1, 0), b"\0" * 30_000)
    assert await offset_of(two.at_one, address) == 0
    assert (await send(two.at_one, address, 0, DATA[:50_000])).status_code == 204
    assert await counted_keys(two.one, address) == {chunk_key(id_of(address), 3, 0)}
    assert (await send(two.at_one, address, 50_000, DATA[50_000:])).status_code == 204
    await is_whole(two, address)


async def test_the_dead_are_not_waited_for_when_their_time_is_over(two: Two) -> None:
    two.one.part(Leases).be_patient(handover_s=1000.0)
    address = await begun(two.at_one, len(DATA))
    async with two.one.database.transaction() as session:
        held = update(UploadSession).where(UploadSession.id == id_of(address))
        await session.execute(held.values(lease_epoch=1, leased_until=two.one.clock.wall()))
    assert await offset_of(two.at_one, address) == 0
    async with two.one.database.transaction() as session:
        until = two.one.clock.wall() + LEASE
        assert not await chunks.renew(session, id_of(address), 1, until), "what was told stays true: they are fenced"


async def test_an_upload_with_all_its_bytes_is_joined_by_its_job(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the last byte's row: the job was written with it."""
    monkeypatch.setattr(joining, "AT_ONCE_BYTES", 0)
    address = await begun(two.at_one, len(DATA), DATA)
    assert (await upload_of(two.at_one, address))["state"] == "FINISHING"
    asked = await ask(two.at_other, address)
    assert (asked.headers["Upload-Offset"], "Upload-Expires" in asked.headers) == (str(len(DATA)), False)
    assert await work_off(two.one, "storage.join") == 1
    await is_whole(two, address)
    await joining.join(two.one, id_of(address))
    await is_whole(two, address)


async def test_two_joins_make_one_file(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "AT_ONCE_BYTES", 0)
    address = await begun(two.at_one, len(DATA), DATA)
    joins = [joining.join(platform, id_of(address)) for platform in (two.one, two.other, two.one)]
    outcomes = await asyncio.gather(*joins, return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["NoneType", "TryAgain", "TryAgain"]
    await is_whole(two, address)
    async with two.one.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(StoredObject)) == 1


async def test_a_join_that_died_is_taken_up(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "AT_ONCE_BYTES", 0)
    address = await begun(two.at_one, len(DATA), DATA)
    async with two.one.database.transaction() as session:
        dead = update(UploadSession).where(UploadSession.id == id_of(address))
        await session.execute(dead.values(lease_epoch=9, leased_until=two.one.clock.wall() + joining.HOLD))
    with pytest.raises(TryAgain):
        await joining.join(two.one, id_of(address))
    for clock in two.clocks():
        clock.advance(seconds=joining.HOLD.total_seconds() + 1)
    await joining.join(two.one, id_of(address))
    await is_whole(two, address)


async def test_a_join_that_comes_second_leaves_nothing_behind(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has read all when another takes the upload over and finishes it, as a double of what is there already."""
    monkeypatch.setattr(joining, "AT_ONCE_BYTES", 0)
    first, address = [await begun(two.at_one, len(DATA), DATA) for _ in range(2)]
    await joining.join(two.one, id_of(first))
    bytes_of = joining._bytes_of

    async def taken_over(platform: Platform, upload: UploadSession) -> AsyncIterator[bytes]:
        async for piece in bytes_of(platform, upload):
            yield piece
        monkeypatch.setattr(joining, "_bytes_of", bytes_of)
        for clock in two.clocks():
            clock.advance(seconds=joining.HOLD.total_seconds() + 1)
        await joining.join(two.other, id_of(address))
        await lifecycle.delete_doomed(JobContext(two.other, "a test"))

    monkeypatch.setattr(joining, "_bytes_of", taken_over)
    await joining.join(two.one, id_of(address))
    assert (await upload_of(two.at_one, address))["state"] == "COMPLETED"
    await lifecycle.delete_doomed(JobContext(two.one, "a test"))
    kept = {found.key async for found in two.one.part(BlobDoor).list(f"user/{two.at_one.id}")}
    assert kept == {(await row_of(two.one, first)).key}


# --- uploads that end meanwhile -------------------------------------------------------------------------------------


async def ended_as(two: Two, address: str, state: SessionState) -> None:
    async with two.other.database.transaction() as session:
        row = await session.get_one(UploadSession, id_of(address))
        assert await sessions.end(session, two.other, row, state)


async def test_an_upload_that_expires_under_its_last_piece_stays_expired(two: Two) -> None:
    """The sweep comes while the piece is on its way: the room is given back, so the bytes must not count."""
    address = await begun(two.at_one, len(DATA), DATA[:1000])
    async with hanging(two.one_url, two.at_one, address, 1000, len(DATA) - 1000) as last:
        await last.send(DATA[1000:50_000])
        await upload_of(two.at_one, address)
        await ended_as(two, address, SessionState.EXPIRED)
        await last.send(DATA[50_000:])
        told = await last.answer()
    body = orjson.loads(told.body)
    assert (told.status, body["code"], body["state"]) == (410, "upload_gone", "EXPIRED")
    assert await counted_keys(two.one, address) == set()
    async with two.one.database.reading() as session:
        doomed = set((await session.scalars(select(DoomedObject.key))).all())
    assert await keys_of(two.one, address) <= doomed
    assert await reserved_of(two.one, two.at_one) == 0
    assert (await row_of(two.one, address)).state == SessionState.EXPIRED


async def test_an_upload_is_ended_under_somebody_who_sends(two: Two) -> None:
    address = await begun(two.at_one, len(DATA))
    async with hanging(two.one_url, two.at_one, address, 0, len(DATA)) as sending:
        await sending.send(DATA[:50_000])
        assert (await end(two.at_other, address)).status_code == 204
        assert (await sending.answer()).status in (409, 410)
    assert (await ask(two.at_one, address)).status_code in (404, 410)
    assert await reserved_of(two.one, two.at_one) == 0


async def test_an_upload_ended_under_its_join_becomes_no_file(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are joined, and then there is no upload to finish: what was written goes again."""
    monkeypatch.setattr(joining, "AT_ONCE_BYTES", 0)
    address = await begun(two.at_one, len(DATA), DATA)
    row = await row_of(two.one, address)
    held = await joining._hold(two.one, id_of(address))
    assert held is not None
    await ended_as(two, address, SessionState.EXPIRED)
    with pytest.raises(joining.JoinedElsewhere):
        await joining._say_alive(two.one, held)
    await joining.join(two.one, id_of(address))
    async with two.one.database.reading() as session:
        assert await session.get(DoomedObject, row.key) is not None
        assert await session.scalar(select(func.count()).select_from(StoredObject)) == 0
    assert await reserved_of(two.one, two.at_one) == 0
