"""The same tests as on disk, with files in S3 (moto's): what a caller sees does not depend on where bytes lie.

These are uploads and what is read of them; all else that reads or writes files runs there with `make test-s3`.
"""
# ruff: noqa: F403  the tests of other modules, with another store under them

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.core.settings_storage import S3Settings, StorageSettings
from pm_api.integrations.blobs import BlobDoor, StorageUnavailable
from pm_api.integrations.blobs.presigning import Presigner
from tests.conftest import open_platform
from tests.domains.storage.test_content import *
from tests.domains.storage.test_uploads import *
from tests.support import stores
from tests.support.clock import MovableClock
from tests.support.settings import settings_for


@pytest.fixture(scope="module")
async def platform(worker_database: str) -> AsyncIterator[Platform]:
    async with AsyncExitStack() as stack:
        settings = settings_for(worker_database, s3=stores.s3_settings(stores.new_bucket(), prefix="deep/inside"))
        yield await stack.enter_async_context(open_platform(settings, MovableClock()))


@pytest.fixture(scope="module")
def app(platform: Platform) -> FastAPI:
    return create_app(platform.settings, platform)


async def test_it_is_s3(platform: Platform) -> None:
    door = platform.part(BlobDoor)
    assert door.is_s3
    await door.put("user/one", b"1")
    assert [one.key async for one in door.list("user")] != []
    found = stores.client().list_objects_v2(Bucket=platform.settings.s3.bucket)
    assert all(one["Key"].startswith("deep/inside/") for one in found["Contents"])


async def test_an_s3_that_is_away_says_so_whatever_it_is_asked(tmp_path: Path) -> None:
    s3 = S3Settings.model_validate(stores.s3_settings("nowhere", endpoint="http://127.0.0.1:9"))
    door, presigner = BlobDoor(StorageSettings(), s3, tmp_path), Presigner(StorageSettings(), s3)

    async def all_of(pieces: AsyncIterator[Any]) -> list[Any]:
        return [one async for one in pieces]

    asked: list[Awaitable[Any]] = [
        *(door.put("a/b", b"x"), door.head("a/b"), door.delete("a/b"), door.copy("a/b", "a/c")),
        *(all_of(door.read("a/b")), all_of(door.list("a"))),
        *(presigner.arrived("a/b"), presigner.begin_multipart("a/b"), presigner.probe()),
    ]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in answers] == [StorageUnavailable] * len(asked)
