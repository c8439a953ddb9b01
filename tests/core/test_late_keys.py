"""Keys that are claimed at the end: of two who end at once the second waits, and finds what the first left."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from fastapi import Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.idempotency import IdempotencyKeyReused
from pm_api.core.late_keys import LateKey
from pm_api.core.platform import Platform

ASKED = b"a" * 32


@pytest.fixture
def key(platform: Platform) -> Callable[[], LateKey]:
    """The same key, of one request after the other."""
    caller = f"user:{uuid4()}"
    return lambda: LateKey(platform, caller, "createUpload", "one-intention")


async def claimed(platform: Platform, key: LateKey, asked: bytes = ASKED) -> Response | None:
    async with platform.database.transaction() as session:
        return await key.claim(session, asked)


async def waits(platform: Platform, work: "asyncio.Task[Response | None]") -> None:
    """Until the database says that somebody waits for another's end."""
    blocked = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
    async with asyncio.timeout(5):
        while not work.done():
            async with platform.database.reading() as session:
                if await session.scalar(blocked):
                    return
    raise AssertionError("nobody waited")


async def test_who_comes_second_waits_and_gets_the_first_ones_answer(
    platform: Platform, key: Callable[[], LateKey]
) -> None:
    async with platform.database.transaction() as session:
        first = key()
        assert await first.claim(session, ASKED) is None
        second = asyncio.create_task(claimed(platform, key()))
        other = asyncio.create_task(claimed(platform, key(), b"b" * 32))
        await waits(platform, second)
        assert await key().earlier() is None
        await first.keep(session, Response('{"n":1}', 201, {"Location": "/x"}, "application/json"))
    answer = await second
    assert answer is not None
    assert (answer.status_code, answer.body, answer.headers["location"]) == (201, b'{"n":1}', "/x")
    assert answer.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(IdempotencyKeyReused):
        await other


@pytest.mark.parametrize("is_given_back", [True, False], ids=["given-back", "rolled-back"])
async def test_who_ends_without_an_answer_leaves_the_key_to_the_next(
    platform: Platform, key: Callable[[], LateKey], is_given_back: bool
) -> None:
    async with platform.database.transaction() as session:
        first = key()
        assert await first.claim(session, ASKED) is None
        second = asyncio.create_task(claimed(platform, key(), b"b" * 32))
        await waits(platform, second)
        if is_given_back:
            await first.give_back(session)
        else:
            await session.rollback()
    assert await second is None


async def test_a_key_that_is_forgotten_while_it_is_asked_for_is_free(
    platform: Platform, key: Callable[[], LateKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its two days end between the two statements of who asks for it."""
    assert await claimed(platform, key()) is None
    found = AsyncSession.get

    async def forgotten(session: AsyncSession, *asked: Any) -> Any:
        async with platform.database.transaction() as sweep:
            await key().give_back(sweep)
        return await found(session, *asked)

    monkeypatch.setattr(AsyncSession, "get", forgotten)
    assert await claimed(platform, key(), b"b" * 32) is None
