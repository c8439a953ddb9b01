"""What never came in comes in after all: read from Stripe's own list, stored once, worked off like any other."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from pm_api.core import inbox
from pm_api.core.jobs import JobContext
from pm_api.sandbox.stripe.objects.common import new_id
from pm_api.webhooks import healing, jobs
from pm_api.webhooks.handlers import STRIPE
from pm_api.webhooks.healing import Healed
from tests.support.shelf import SHELF
from tests.support.stripe import Json, Till, event_about


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    async with SHELF.till(stocked=False) as one:
        yield one.till


async def happened(till: Till, kind: str = "price.created", **more: Any) -> Json:
    """Stripe has an event about a price, and nobody was told."""
    price = await till.stripe.put(
        {
            "id": new_id("price"),
            "object": "price",
            "active": True,
            "created": 1_700_000_000,
            "currency": "usd",
            "lookup_key": None,
            "metadata": {},
            "nickname": None,
            "product": "prod_1",
            "recurring": None,
            "type": "one_time",
            "unit_amount": 100,
        }
    )
    answer = await till.stripe.http.post("/_sandbox/events", json={"type": kind, "objectId": price["id"], **more})
    assert answer.status_code == 200, answer.text
    made: Json = answer.json()
    return made


def ago(till: Till, **span: float) -> int:
    return int((till.platform.clock.now() - timedelta(**span)).timestamp())


async def cursor(till: Till) -> Any:
    async with till.platform.database.reading() as session:
        return await inbox.read_until(session, "stripe")


async def test_missed_events_of_thirty_days_are_fetched_and_worked_off(till: Till) -> None:
    missed = [await happened(till, created=ago(till, days=days)) for days in (29, 12, 3, 0.01)]
    too_old = await happened(till, created=ago(till, days=31))
    unknown = await happened(till, "coupon.created", created=ago(till, days=1))
    came_in = await happened(till, created=ago(till, days=2))
    await till.tell(came_in)
    assert (await healing.fetch_missed(till.platform)).missed == 4
    assert await till.jobs([event["id"] for event in missed]) == 4
    for event in missed:
        await till.drain(event["data"]["object"]["id"])
        row = await till.stored(event["id"])
        assert (row["status"], row["type"]) == ("HANDLED", "price.created")
        assert f'"{event["id"]}"' in row["body"]
    ids = [row["event_id"] for row in await till.query("SELECT event_id FROM inbox_events")]
    assert sorted(ids) == sorted([*(event["id"] for event in missed), came_in["id"]])
    assert too_old["id"] not in ids
    assert unknown["id"] not in ids


async def test_a_second_run_reads_little_and_stores_nothing(till: Till) -> None:
    await happened(till, created=ago(till, days=20))
    assert (await healing.fetch_missed(till.platform)).missed == 1
    first = await cursor(till)
    assert first is not None
    assert abs(first - till.platform.clock.now()) < timedelta(minutes=1)
    again = await healing.fetch_missed(till.platform)
    # The one old event is not in the window again, only among those that were not delivered.
    assert again == Healed(read=1, missed=0)
    assert await cursor(till) >= first


async def test_what_could_not_be_delivered_is_fetched_even_behind_the_cursor(till: Till) -> None:
    await healing.fetch_missed(till.platform)
    late = await happened(till, created=ago(till, days=10))
    assert (await healing.fetch_missed(till.platform)).missed == 1
    assert (await till.stored(late["id"]))["status"] == "PENDING"


async def test_more_than_one_answer_holds_is_read_in_shorter_windows(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "EVENTS_OF_A_WINDOW", 5)
    for number in range(23):
        await happened(till, created=ago(till, minutes=2 + number))
    assert (await healing.fetch_missed(till.platform)).missed == 23
    [row] = await till.query("SELECT count(*) AS n FROM inbox_events")
    assert row["n"] == 23


async def test_a_run_that_is_cut_off_goes_on_where_it_stood(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    await healing.fetch_missed(till.platform)  # nothing yet
    async with till.platform.database.transaction() as session:
        await session.execute(text("DELETE FROM inbox_cursors"))
    monkeypatch.setattr(healing, "WINDOWS_OF_A_RUN", 2)
    old = await happened(till, created=ago(till, days=29, hours=23))
    reached = []
    for _ in range(3):
        await healing.fetch_missed(till.platform)
        reached.append(await cursor(till))
    assert reached == sorted(set(reached)), "each run gets further"
    assert (await till.stored(old["id"]))["status"] == "PENDING"


async def test_while_stripe_is_away_the_cursor_stays(till: Till) -> None:
    await healing.fetch_missed(till.platform)
    before = await cursor(till)
    event = await happened(till)
    await till.stripe.fail(status=500, times=50)
    assert await healing.fetch_missed(till.platform) == Healed(0, 0)
    assert await cursor(till) == before
    await till.stripe.heal()
    assert (await healing.fetch_missed(till.platform)).missed == 1
    assert (await till.stored(event["id"]))["status"] == "PENDING"


async def test_what_was_held_for_want_of_something_is_tried_again(till: Till) -> None:
    """A checkout of nobody's is held. Whatever was missing may be there later; a person need not come."""
    event = event_about("checkout.session.completed", {"id": "cs_unknown", "object": "checkout.session"})
    await till.tell(event)
    await till.drain("cs_unknown")
    row = await till.stored(event["id"])
    assert (row["status"], row["attempts"]) == ("HELD", 1)
    assert await till.jobs([event["id"]]) == 1  # the first one's: nobody took it here
    await jobs.retry_held(JobContext(till.platform, "test"))
    assert (await till.stored(event["id"]))["status"] == "PENDING"
    await till.drain("cs_unknown")
    assert (await till.stored(event["id"]))["attempts"] == 2
    async with till.platform.database.transaction() as session:
        released = await inbox.release_held(session, "stripe", list(STRIPE), attempts_below=2)
    assert released == [], "not for ever"


async def test_a_failure_is_counted_and_told_while_the_event_waits(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await happened(till)
    await till.tell(event)
    subject = event["data"]["object"]["id"]

    async def broken(*_: object) -> str:
        raise ZeroDivisionError("somebody's name stands here")

    handler = STRIPE["price.created"]
    monkeypatch.setitem(STRIPE, "price.created", type(handler)(handler.fetch, broken))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await till.drain(subject)
    row = await till.stored(event["id"])
    assert (row["status"], row["attempts"]) == ("PENDING", 2)
    assert row["outcome"] == "failed: ZeroDivisionError; it is tried again"
    monkeypatch.undo()
    await till.drain(subject)
    row = await till.stored(event["id"])
    assert (row["status"], row["attempts"], row["outcome"]) == ("HANDLED", 3, "the price is as Stripe has it")


async def test_however_many_fail_those_behind_them_are_applied(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are read at once."""
    first = await happened(till)
    about = first["data"]["object"]
    failing = [event_about("price.created", about) for _ in range(51)]
    for event in failing:
        await till.tell(event)
    last = event_about("price.updated", about)
    last["created"] = failing[-1]["created"] + 60
    await till.tell(last)

    async def broken(*_: object) -> str:
        raise ZeroDivisionError

    handler = STRIPE["price.created"]
    monkeypatch.setitem(STRIPE, "price.created", type(handler)(handler.fetch, broken))
    with pytest.raises(ZeroDivisionError):
        await till.drain(about["id"])
    assert (await till.stored(last["id"]))["status"] == "HANDLED"
    assert {(await till.stored(event["id"]))["attempts"] for event in failing} == {1}


async def test_of_held_ones_the_least_tried_come_first(till: Till) -> None:
    events = [
        event_about("checkout.session.completed", {"id": name, "object": "checkout.session"})
        for name in ("cs_one", "cs_two")
    ]
    for event in events:
        await till.tell(event)
    for name in ("cs_one", "cs_one", "cs_two"):
        await till.drain(name)
        await jobs.retry_held(JobContext(till.platform, "test"))
    for name in ("cs_one", "cs_two"):
        await till.drain(name)
    async with till.platform.database.transaction() as session:
        [(released, _)] = await inbox.release_held(session, "stripe", list(STRIPE), attempts_below=100, limit=1)
    assert released == events[1]["id"]
