"""An API whose files are scanned by a double of clamd."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from sqlalchemy import select

from pm_api.core.platform import Platform
from pm_api.domains.storage.models import StoredFile, StoredObject
from pm_api.domains.storage.repository import scans
from tests.conftest import Person, open_platform
from tests.domains.storage.boxes import Json
from tests.support.clamds import ClamdDouble, clamd_double
from tests.support.clock import MovableClock
from tests.support.queue import work_off
from tests.support.settings import settings_for

FILES = "/api/storage/files"


@asynccontextmanager
async def scanned_platform(database_url: str, **clamd: Any) -> AsyncIterator[tuple[Platform, ClamdDouble]]:
    async with clamd_double() as double:
        settings = settings_for(
            database_url, clamd={"url": double.url, "timeout_s": 1.5, "max_bytes": 1_000_000, **clamd}
        )
        async with open_platform(settings, MovableClock()) as platform:
            yield platform, double


async def scan(platform: Platform) -> int:
    """What a worker does about it, here and now."""
    return await work_off(platform, "storage.scan")


async def read(person: Person, file: Json) -> Json:
    answer = await person.client.get(f"{FILES}/{file['id']}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["file"]
    return found


async def content(person: Person, file: Json) -> httpx.Response:
    return await person.client.get(f"{FILES}/{file['id']}/content")


async def object_of(platform: Platform, file: Json) -> StoredObject:
    async with platform.database.reading() as session:
        found = await session.scalar(
            select(StoredObject)
            .join(StoredFile, StoredFile.object_id == StoredObject.id)
            .where(StoredFile.id == file["id"])
        )
        assert found is not None
        return found


async def waiting(platform: Platform) -> int:
    async with platform.database.reading() as session:
        return await scans.waiting(session)


async def notices(person: Person, kind: str) -> list[Json]:
    """What somebody was told of that type."""
    answer = await person.client.get("/api/notifications")
    assert answer.status_code == 200, answer.text
    return [one for one in answer.json()["notifications"] if one["type"] == kind]
