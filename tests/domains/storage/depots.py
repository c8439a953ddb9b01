"""A database and a store of one's own: for sweeps and comparisons, which look at all there is."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from sqlalchemy import func, select, text

from pm_api.app import create_app
from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.domains.storage import lifecycle, recounting, sessions
from pm_api.domains.storage.accounts import Account
from pm_api.domains.storage.enums import FileType, UploadWay
from pm_api.domains.storage.models import DoomedObject, StoredFile, StoredObject, UploadSession
from pm_api.domains.storage.recounting import Drift
from pm_api.domains.storage.sessions import NewUpload
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.blobs import BlobDoor
from tests.conftest import Person, open_platform, register
from tests.support.clock import MovableClock
from tests.support.settings import settings_for


@dataclass
class Depot:
    """One installation that nobody else uses."""

    platform: Platform
    app: FastAPI
    clock: MovableClock
    folder: Path
    people: list[Person] = field(default_factory=list)

    async def person(self, **fields: Any) -> Person:
        self.people.append(await register(self.app, **fields))
        return self.people[-1]

    async def run(self, sweep: Any = lifecycle.delete_doomed) -> None:
        """A sweep, as the worker would."""
        await sweep(JobContext(self.platform, "a test"))

    async def keys(self) -> set[str]:
        """All that lies in the store."""
        return {one.key async for one in self.platform.part(BlobDoor).list("")}

    async def put(self, key: str, content: bytes = b"left behind") -> None:
        await self.platform.part(BlobDoor).put(key, content)

    @contextmanager
    def store_away(self) -> Iterator[None]:
        """The disk is not mounted, or nobody answers where S3 was."""
        (self.folder / "away").write_text("no folder")
        with self._store_at(self.folder / "away", endpoint="http://127.0.0.1:9"):
            yield

    @contextmanager
    def store_mistaken(self) -> Iterator[None]:
        """Another folder, or another one of the bucket, in which nothing lies."""
        with self._store_at(self.folder / "mistaken", prefix="mistaken"):
            yield

    @contextmanager
    def _store_at(self, folder: Path, **s3: str) -> Iterator[None]:
        settings, door = self.platform.settings, self.platform.part(BlobDoor)
        other = BlobDoor(settings.storage, settings.s3.model_copy(update=s3), folder)
        kept = {**vars(door)}
        vars(door).clear()
        vars(door).update(vars(other))
        try:
            yield
        finally:
            vars(door).clear()
            vars(door).update(kept)

    async def begun(self, person: Person, **fields: Any) -> UploadSession:
        """An upload of a person's own, of which nothing has come."""
        wanted = {
            "way": UploadWay.MULTIPART,
            "file_type": FileType.TEMPORARY_UPLOAD,
            "original_name": "plan.txt",
            "total_bytes": 100,
            **fields,
        }
        async with self.platform.database.transaction() as session:
            return await sessions.begin(session, self.platform, scope_of(person), NewUpload(**wanted))

    async def upload(self, upload_id: UUID) -> UploadSession | None:
        async with self.platform.database.reading() as session:
            return await session.get(UploadSession, upload_id)

    async def file(self, file_id: UUID | str) -> StoredFile | None:
        async with self.platform.database.reading() as session:
            return await session.get(StoredFile, UUID(str(file_id)))

    async def count(self, table: type[Any]) -> int:
        async with self.platform.database.reading() as session:
            return await session.scalar(select(func.count()).select_from(table)) or 0

    async def doomed(self) -> set[str]:
        async with self.platform.database.reading() as session:
            return set(await session.scalars(select(DoomedObject.key)))

    async def object_keys(self) -> set[str]:
        async with self.platform.database.reading() as session:
            return set(await session.scalars(select(StoredObject.key)))

    async def execute(self, statement: str, **values: Any) -> None:
        async with self.platform.database.transaction() as session:
            await session.execute(text(statement), values)

    async def drifts(self, *, heal: bool = False) -> list[Drift]:
        return [one async for one in recounting.recount(self.platform, heal=heal)]

    async def balances(self) -> None:
        """Counters are what they count, and the store holds what the rows say and nothing else."""
        assert await self.drifts() == []
        assert await self.keys() == await self.object_keys()


def scope_of(person: Person) -> UserScope:
    return UserScope(Actor(ActorKind.USER, person.id), person.id)


def workspace_account(workspace: dict[str, Any]) -> Account:
    return Account(AccountType.WORKSPACE, UUID(str(workspace["id"])))


@asynccontextmanager
async def open_depot(database: str, folder: Path) -> AsyncIterator[Depot]:
    clock = MovableClock()
    async with open_platform(settings_for(database, data_dir=folder), clock) as platform:
        depot = Depot(platform, create_app(platform.settings, platform), clock, folder)
        try:
            yield depot
        finally:
            for one in depot.people:
                await one.client.aclose()
