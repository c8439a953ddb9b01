"""Signals between processes, and the business clock that travels by them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.bootstrap import read_clock, shift_clock
from pm_api.core import business_clock, signals
from pm_api.core.jobs import PERIODICS
from pm_api.core.platform import Platform
from pm_api.core.settings import Environment
from pm_api.core.signals import Signals
from pm_api.operations import service as operations
from pm_api.operations.schemas import ClockMove
from pm_api.operations.service import ClockMoveInvalid
from tests.conftest import client_of, open_platform
from tests.support.clock import MovableClock
from tests.support.settings import ADMIN_KEY, settings_for

CHANNEL = "test_channel"


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not in time: {what}")


@asynccontextmanager
async def listening(platform: Platform) -> AsyncIterator[tuple[Signals, list[str], list[int]]]:
    heard: list[str] = []
    resets: list[int] = []
    ears = Signals(platform.database)
    ears.on(CHANNEL, heard.append)
    ears.on_reset(lambda: resets.append(1))
    await ears.start()
    try:
        yield ears, heard, resets
    finally:
        await ears.stop()


async def say(platform: Platform, payload: str) -> None:
    async with platform.database.transaction() as session:
        await signals.publish(session, CHANNEL, payload)


async def test_a_signal_is_heard_when_its_session_commits_and_only_then(platform: Platform) -> None:
    async with listening(platform) as (_ears, heard, _resets):
        async with platform.database.reading() as session:
            await signals.publish(session, CHANNEL, "undone")
        await say(platform, "done")
        await until(lambda: heard, "the signal")
    assert heard == ["done"]


async def test_a_listener_that_stumbles_stops_nobody_else(platform: Platform) -> None:
    def stumble(_payload: str) -> None:
        raise RuntimeError

    heard: list[str] = []
    ears = Signals(platform.database)
    ears.on(CHANNEL, stumble)
    ears.on(CHANNEL, heard.append)
    await ears.start()
    try:
        for payload in ("one", "two"):
            await say(platform, payload)
        await until(lambda: heard == ["one", "two"], "both signals")
    finally:
        await ears.stop()


async def test_after_a_lost_connection_everyone_is_told_to_look_again(fresh_platform: Platform) -> None:
    platform = fresh_platform
    async with listening(platform) as (ears, heard, resets):
        assert resets == [1]
        for count in (2, 3):
            async with platform.database.transaction() as session:
                await session.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
                    )
                )
            await until(lambda: len(resets) == count and ears.connected, "the new connection")  # noqa: B023
        await say(platform, "again")
        await until(lambda: heard == ["again"], "the signal over the new connection")


async def test_a_connection_that_breaks_while_it_is_set_up_is_tried_again(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between connecting and listening the server may go away too."""
    connect = platform.database.dedicated_connection
    broken = 0

    async def closed_connection() -> Any:
        nonlocal broken
        connection = await connect()
        if broken < 2:
            broken += 1
            connection.terminate()
        return connection

    monkeypatch.setattr(platform.database, "dedicated_connection", closed_connection)
    async with listening(platform) as (ears, heard, _resets):
        assert broken == 2
        assert ears.connected
        await say(platform, "here")
        await until(lambda: heard == ["here"], "the signal")


async def test_a_silent_peer_is_asked(fresh_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PROBE_EVERY_S", 0.05)
    async with listening(fresh_platform) as (ears, heard, resets):
        await asyncio.sleep(0.3)
        assert ears.connected
        assert resets == [1], "an answering peer is left in peace"
        await say(fresh_platform, "still here")
        await until(lambda: heard == ["still here"], "the signal")


# --- the business clock -----------------------------------------------------------------------------------------


@pytest.fixture
def no_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pm_api.core.jobs.PERIODICS", {})
    assert PERIODICS, "the product has sweeps; these tests are about the clock"


async def test_moving_the_clock_moves_it_in_every_process(
    fresh_platform: Platform, fresh_database: str, no_sweeps: None
) -> None:
    async with open_platform(settings_for(fresh_database), MovableClock()) as second:
        state = await operations.move_clock(fresh_platform, ClockMove(advanceS=86_400))
        assert state.offset_s == 86_400
        assert fresh_platform.clock.offset == timedelta(days=1)
        await until(lambda: second.clock.offset == timedelta(days=1), "the second process to follow")
        await operations.move_clock(second, ClockMove(advanceS=60))
        await until(lambda: fresh_platform.clock.offset == timedelta(days=1, minutes=1), "the first to follow back")
        assert abs((fresh_platform.clock.now() - second.clock.now()).total_seconds()) < 1
        assert second.clock.now() - second.clock.wall() > timedelta(days=1), "wall time stays"
    async with open_platform(settings_for(fresh_database), MovableClock()) as third:
        assert third.clock.offset == timedelta(days=1, minutes=1), "who starts later lives in the same time"


async def test_moving_the_clock_runs_what_became_due(
    fresh_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[timedelta] = []

    async def sweep(platform: Platform) -> list[str]:
        ran.append(platform.clock.offset)
        return ["test.sweep"]

    monkeypatch.setattr("pm_api.core.jobs.run_all_sweeps", sweep)
    state = await operations.move_clock(
        fresh_platform, ClockMove(now=fresh_platform.clock.wall() + timedelta(hours=5))
    )
    assert state.sweeps == ["test.sweep"]
    assert abs(ran[0] - timedelta(hours=5)) < timedelta(seconds=1)


@pytest.mark.parametrize(
    "move",
    [
        ClockMove(),
        ClockMove.model_validate({"now": "2030-01-01T00:00:00Z", "advanceS": 1}),
        ClockMove.model_validate({"now": "2020-01-01T00:00:00Z"}),
        ClockMove.model_validate({"advanceS": -1}),
        ClockMove.model_validate({"now": "9001-01-01T00:00:00Z"}),
    ],
)
async def test_a_senseless_move_is_refused(platform: Platform, move: ClockMove) -> None:
    with pytest.raises(ClockMoveInvalid):
        await operations.move_clock(platform, move)
    assert platform.clock.offset == timedelta(0)


async def post_move(platform: Platform) -> int:
    async with client_of(create_app(platform.settings, platform), headers={"x-admin-key": ADMIN_KEY}) as operator:
        return (await operator.post("/api/dev/clock", json={"advanceS": 1})).status_code


async def test_production_knows_no_other_time(fresh_platform: Platform, fresh_database: str, no_sweeps: None) -> None:
    """The route is not there, the row is not read, the signal is not followed."""
    await operations.move_clock(fresh_platform, ClockMove(advanceS=3600))
    # What production demands of its other settings is not the matter here.
    settings = settings_for(fresh_database).model_copy(update={"env": Environment.PRODUCTION})
    async with open_platform(settings, MovableClock()) as production:
        await read_clock(production)
        assert production.clock.offset == timedelta(0)
        async with fresh_platform.database.transaction() as session:
            await signals.publish(session, business_clock.CHANNEL, "7200")
        await until(lambda: fresh_platform.clock.offset == timedelta(hours=2), "the signal to have gone round")
        assert production.clock.offset == timedelta(0)
        shift_clock(production, "7200")
        assert production.clock.offset == timedelta(0)
        statuses = [await post_move(parts) for parts in (fresh_platform, production)]
    assert statuses == [200, 404]
