"""A hundred uploads at one moment, over two processes and two workspaces that share their owner's room: exactly what
fits gets in, the sum is at no moment more than the plan holds, and every reservation comes back.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select

from pm_api.core.platform import Platform
from pm_api.domains.storage import recounting
from pm_api.domains.storage.models import StorageUsage, StoredObject, UploadSession
from tests.conftest import Person, register
from tests.domains.storage.boxes import UPLOADS, limit, user_account
from tests.identity.teams import make_workspace
from tests.races.town import Town
from tests.support import processes

pytestmark = [pytest.mark.xdist_group("processes")]

ROOM_FOR = 10
CALLERS = 100
SIZE = 100_000
SLACK = 20_000
"""For what forms take up beside their file until they are read: less than a file."""
TUS = "/api/storage/tus"


@dataclass
class House:
    """Somebody with two workspaces and room for ten files in both together."""

    town: Town
    owner: Person
    workspaces: list[dict[str, Any]]

    @property
    def accounts(self) -> list[UUID]:
        return [self.owner.id, *(UUID(one["id"]) for one in self.workspaces)]

    @property
    def limit(self) -> int:
        return ROOM_FOR * SIZE + SLACK

    async def sums(self) -> tuple[int, int]:
        """(used, reserved) of all who share the room, in one look."""
        async with self.town.platform.database.reading() as session:
            used, reserved = (
                await session.execute(
                    select(
                        func.coalesce(func.sum(StorageUsage.total_used), 0),
                        func.coalesce(func.sum(StorageUsage.reserved), 0),
                    ).where(StorageUsage.account_id.in_(self.accounts))
                )
            ).one()
        return int(used), int(reserved)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.owner.access_token}"}

    async def upload(self, number: int, api: httpx.AsyncClient | None = None) -> httpx.Response:
        """A file of its own content, into one of the three places by turns, over one of the processes."""
        place = [{}, *({"workspaceId": one["id"]} for one in self.workspaces)][number % 3]
        content = number.to_bytes(4, "big") + os.urandom(SIZE - 4)
        return await (api or self.town.apis[number % 2]).post(
            UPLOADS, params=place, headers=self.headers(), files={"file": (f"{number}.bin", content)}
        )

    async def announce(self, number: int) -> httpx.Response:
        """An upload of which no byte comes."""
        headers = {**self.headers(), "Tus-Resumable": "1.0.0", "Upload-Length": str(SIZE)}
        place = [{}, *({"workspaceId": one["id"]} for one in self.workspaces)][number % 3]
        return await self.town.apis[number % 2].post(TUS, params=place, headers=headers)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[list[int]]:
        """Look at the sum all the time."""
        seen: list[int] = []

        async def look() -> None:
            while True:
                seen.append(sum(await self.sums()))
                await asyncio.sleep(0.01)

        looking = asyncio.create_task(look())
        try:
            yield seen
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
        assert seen
        assert max(seen) <= self.limit

    async def balances(self) -> None:
        async for drift in recounting.recount(self.town.platform):
            assert drift.account.id not in self.accounts, drift.told()


@pytest.fixture
async def house(town: Town) -> House:
    owner = await register(town.app)
    found = House(town, owner, [await make_workspace(owner) for _ in range(2)])
    await limit(town.platform, user_account(owner), storage=found.limit)
    return found


def outcomes(answers: Sequence[httpx.Response]) -> Counter[str]:
    return Counter(str(one.status_code) if one.is_success else one.json()["code"] for one in answers)


async def test_of_a_hundred_uploads_exactly_what_fits_gets_in(house: House) -> None:
    async with house.watched():
        answers = await asyncio.gather(*(house.upload(number) for number in range(CALLERS)))
    assert outcomes(answers) == {"201": ROOM_FOR, "storage_quota_exceeded": CALLERS - ROOM_FOR}
    assert await house.sums() == (ROOM_FOR * SIZE, 0)
    refusal = next(one.json() for one in answers if not one.is_success)
    assert refusal["limit"] == house.limit
    assert refusal["used"] + refusal["reserved"] <= house.limit
    assert await _objects(house.town.platform, house.accounts) == ROOM_FOR
    await house.balances()


async def test_room_that_is_promised_is_nobody_elses_and_comes_back_when_nobody_fills_it(house: House) -> None:
    async with house.watched():
        answers = await asyncio.gather(*(house.announce(number) for number in range(CALLERS)))
        assert outcomes(answers) == {"201": ROOM_FOR, "storage_quota_exceeded": CALLERS - ROOM_FOR}
        assert await house.sums() == (0, ROOM_FOR * SIZE)
        assert outcomes([await house.upload(0)]) == {"storage_quota_exceeded": 1}
        # Both processes find the same uploads expired.
        await house.town.move_to(await house.town.now() + timedelta(hours=25), by=(0, 1))
        assert await house.sums() == (0, 0)
    await house.balances()


async def test_a_process_that_is_killed_in_the_middle_keeps_its_room_only_for_a_while(house: House) -> None:
    async with house.watched(), processes.api(house.town.database) as third:
        async with httpx.AsyncClient(base_url=third.url, timeout=60, trust_env=False, verify=False) as api:
            over = asyncio.Event()
            stalled = [asyncio.create_task(_stalled(house, api, number, over)) for number in range(ROOM_FOR)]
            await _until(house, ROOM_FOR * SIZE)
            answers = await asyncio.gather(*(house.upload(number) for number in range(2)))
            assert outcomes(answers) == {"storage_quota_exceeded": 2}
            third.kill()
            over.set()
            await asyncio.gather(*stalled, return_exceptions=True)
        used, reserved = await house.sums()
        assert (used, reserved) == (0, ROOM_FOR * SIZE)
        assert outcomes([await house.upload(1)]) == {"storage_quota_exceeded": 1}
        await house.town.move_to(await house.town.now() + timedelta(minutes=30), by=(0, 1))
        assert await house.sums() == (0, 0)
        answers = await asyncio.gather(*(house.upload(number) for number in range(ROOM_FOR + 2)))
        assert outcomes(answers) == {"201": ROOM_FOR, "storage_quota_exceeded": 2}
    async with house.town.platform.database.reading() as session:
        states = await session.scalars(
            select(UploadSession.state).where(UploadSession.account_id.in_(house.accounts)).distinct()
        )
        assert set(states) == {"COMPLETED", "EXPIRED"}
    await house.balances()


async def test_what_is_deleted_for_good_makes_room_again_while_others_want_it(house: House) -> None:
    """Uploads and deletions at one moment: the sum holds, and the books are right at the end."""
    first = await asyncio.gather(*(house.upload(number) for number in range(ROOM_FOR)))
    ids = [one.json()["file"]["id"] for one in first]

    async def delete(number: int, file_id: str) -> httpx.Response:
        address = f"/api/storage/files/{file_id}"
        return await house.town.apis[number % 2].delete(
            address, params={"permanent": "true"}, headers=house.headers()
        )

    async with house.watched():
        answers = await asyncio.gather(
            *(delete(number, file_id) for number, file_id in enumerate(ids[:5])),
            *(house.upload(number) for number in range(100, 130)),
        )
    deleted, uploads = answers[:5], outcomes(answers[5:])
    assert {one.status_code for one in deleted} == {204}
    assert set(uploads) <= {"201", "storage_quota_exceeded"}
    assert uploads["201"] <= 5
    assert await house.sums() == ((5 + uploads["201"]) * SIZE, 0)
    await house.balances()


async def _stalled(house: House, api: httpx.AsyncClient, number: int, over: asyncio.Event) -> None:
    """An upload whose client falls silent in the middle, until it is told that it is over."""
    boundary = "between"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{number}.bin"\r\n\r\n'.encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    async def body() -> AsyncIterator[bytes]:
        yield head + os.urandom(SIZE // 2)
        await over.wait()
        yield os.urandom(SIZE - SIZE // 2) + tail

    headers = {
        **house.headers(),
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(head) + SIZE + len(tail)),
    }
    place = [{}, *({"workspaceId": one["id"]} for one in house.workspaces)][number % 3]
    await api.post(UPLOADS, params=place, headers=headers, content=body())


async def _until(house: House, reserved: int) -> None:
    for _ in range(2000):
        if (await house.sums())[1] >= reserved:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the uploads did not begin")


async def _objects(platform: Platform, account_ids: Sequence[UUID]) -> int:
    async with platform.database.reading() as session:
        statement = select(func.count()).select_from(StoredObject).where(StoredObject.account_id.in_(account_ids))
        return await session.scalar(statement) or 0
