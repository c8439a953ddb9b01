"""A client that leaves in the middle of an answer is nothing to wake an operator for."""

import asyncio
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from starlette.types import Message
from structlog.testing import capture_logs

from pm_api.core.platform import Platform
from pm_api.domains.changes.hub import StreamHub
from tests.domains.changes.people import new_caller
from tests.domains.changes.writing import note

BACKLOG = 50
IN_BETWEEN = 4
"""Changes between the feed and a client that takes nothing: each of FastAPI's two queues holds one and one waits."""
TURNS_TO_STANDSTILL = 20
"""Of the event loop, until the last that was handed on waits too: only then does leaving break anything off."""


async def test_a_client_that_leaves_while_it_is_sent_to_leaves_no_failure_in_the_log(
    app: FastAPI, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await new_caller(platform)
    async with platform.database.transaction() as session:
        for number in range(BACKLOG):
            note(session, platform, number, user_ids=[person.id])
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/stream",
        "raw_path": b"/api/stream",
        "query_string": b"lastEventId=0-0",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in person.headers.items()],
        "client": ("127.0.0.1", 4711),
        "server": ("127.0.0.1", 80),
    }
    is_full, asked = asyncio.Event(), 0

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        if asked == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await is_full.wait()
        [stream] = platform.part(StreamHub)._open
        while stream.positions[person.id] < IN_BETWEEN:  # noqa: ASYNC110  nobody tells when what is in between is full
            await asyncio.sleep(0.001)
        for _ in range(TURNS_TO_STANDSTILL):
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            is_full.set()
            await asyncio.Event().wait()

    with capture_logs() as said:
        monkeypatch.setattr("pm_api.core.http._log", structlog.get_logger("pm_api.http"))  # the other keeps its ways
        async with asyncio.timeout(10):
            await app(scope, receive, send)
    assert [one for one in said if one["log_level"] in ("warning", "error")] == []
    assert [one["event"] for one in said if one["event"] == "client_left"] == ["client_left"]
    assert len(platform.part(StreamHub)) == 0
