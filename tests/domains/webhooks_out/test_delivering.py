"""What is sent, in which order, how often, and what becomes of it."""

import asyncio
import random
from datetime import timedelta

import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import WebhookVerificationError

from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.domains.webhooks_out import delivering, flows, jobs, service
from pm_api.domains.webhooks_out.dispatcher import WebhookDispatcher
from pm_api.identity.permissions import Role
from tests.conftest import open_platform
from tests.domains.changes.people import new_caller, new_scope, new_workspace
from tests.domains.changes.writing import write
from tests.domains.webhooks_out.conftest import ALLOWED
from tests.domains.webhooks_out.places import THINGS, open_endpoint, open_place
from tests.support.clock import MovableClock
from tests.support.lines import line_to
from tests.support.receivers import Received, Receiver
from tests.support.settings import settings_for


async def test_a_change_is_told_and_signed(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    await place.write(3, actor_user_id=place.owner.id)
    await place.deliver()
    [one] = receiver.received
    one.verify(place.secret)
    [logged] = await place.log()
    assert one.id == logged.id
    assert one.headers["content-type"] == "application/json"
    assert one.body["type"] == "task.updated"
    assert one.body["timestamp"].endswith("Z")
    assert one.body.keys() == {"type", "timestamp", "data"}
    assert one.data == {
        "payloadVersion": 1,
        "workspaceId": str(place.workspace_id),
        "position": 2,
        "entity": "task",
        "id": str(THINGS[0]),
        "action": "updated",
        "version": 3,
        "actorUserId": str(place.owner.id),
        "url": f"{sender.settings.public_url}/api/tasks/{THINGS[0]}",
    }
    assert (logged.status, logged.attempts, logged.outcome, logged.due_at) == ("DELIVERED", 1, None, None)
    [attempt] = logged.tries
    assert (attempt.status_code, attempt.error, attempt.answer) == (200, None, "thank you")
    assert attempt.duration_ms is not None
    assert (await place.look()).last_delivered_at is not None
    await place.deliver()
    assert len(receiver.received) == 1
    spoiled = Received(one.headers, one.raw.replace(b'"version":3', b'"version":4'), one.path)
    with pytest.raises(WebhookVerificationError):
        spoiled.verify(place.secret)


async def test_what_changed_before_the_endpoint_was_made_is_not_told(sender: Platform, receiver: Receiver) -> None:
    owner = await new_caller(sender)
    workspace_id = await new_workspace(sender, owner)
    await write(sender, 1, workspace_id=workspace_id)
    place = await open_endpoint(sender, owner, workspace_id, receiver.url)
    await place.write(2)
    await place.deliver()
    assert receiver.versions == [2]


async def test_only_what_the_filter_lets_through_is_told(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url, events=["task.created", "member.*"])
    for number, (entity, action) in enumerate(
        [("task", "created"), ("task", "updated"), ("member", "added"), ("members", "added"), ("member", "removed")]
    ):
        await place.write(number, entity=entity, action=action)
    await place.deliver()
    told = [one.body["type"] for one in receiver.received]
    assert told == ["task.created", "member.added", "member.removed"]
    await place.change(events=["task.updated"])
    await place.write(9, entity="task", action="updated")
    await place.write(10, entity="task", action="created")
    await place.deliver()
    assert receiver.versions[3:] == [9]


async def test_what_not_all_members_may_see_is_not_told(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    other, guest = await new_caller(sender), await new_caller(sender)
    shared = await new_workspace(sender, place.owner, other, guest)
    second = await open_place(sender, receiver.url)
    async with sender.database.transaction() as session:
        await session.execute(
            text("UPDATE webhook_endpoints SET workspace_id = :there, position = 0 WHERE id = :id"),
            {"there": shared, "id": second.endpoint_id},
        )
        place_of_guest = {"there": shared, "guest": guest.id}
        await session.execute(
            text("UPDATE workspace_members SET role = 'GUEST' WHERE workspace_id = :there AND user_id = :guest"),
            place_of_guest,
        )
    some = await new_scope(sender, shared, place.owner, guest)
    everybody = await new_scope(sender, shared, place.owner, other)
    opened = await new_scope(sender, shared, place.owner)
    async with sender.database.transaction() as session:
        await session.execute(text("UPDATE scopes SET is_open = true WHERE id = :id"), {"id": opened})
    second.scope = place.owner.within(shared, "OWNER")
    await second.write(1, scope_id=some)
    await second.write(2, scope_id=everybody)
    await second.write(3)
    await second.write(4, least_role=Role.ADMIN)
    await second.write(5, scope_id=opened)
    await second.deliver()
    assert receiver.versions == [2, 3, 5], "whatever a guest does not see: they see nothing but their projects"


async def test_what_admins_alone_may_read_is_not_told(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url, events=["*"])
    await place.change(description="Our warehouse")
    await place.write(7)
    await place.deliver()
    assert [one.body["type"] for one in receiver.received] == ["task.updated"]


async def test_down_for_two_days_and_then_all_of_it_in_order(sender: Platform, receiver: Receiver) -> None:
    dice = random.Random(48)
    async with line_to(receiver.url.removesuffix("/hooks")) as line:
        place = await open_place(sender, f"{line.url}/hooks")
        await line.down()
        written: dict[str, list[int]] = {str(one): [] for one in THINGS}
        number = 0
        for _ in range(48):
            for _ in range(dice.randrange(5)):
                number += 1
                thing = dice.randrange(len(THINGS))
                await place.write(number, thing)
                written[str(THINGS[thing])].append(number)
            await place.live(timedelta(hours=1), timedelta(hours=1))
        assert receiver.received == []
        endpoint = await place.look()
        assert endpoint.enabled
        assert endpoint.failing_since is not None
        assert endpoint.failing_since < sender.clock.now() - timedelta(days=1, hours=20)
        tried = sum(one.attempts for one in await place.log())
        assert 40 < tried < 400, "once in a while, and not for each of them"
        await line.up()
        await place.live(timedelta(minutes=90))
    assert receiver.by_entity() == {key: numbers for key, numbers in written.items() if numbers}
    assert len({one.id for one in receiver.received}) == number
    for one in receiver.received:
        one.verify(place.secret)
    assert {status for _, status in await place.statuses()} == {"DELIVERED"}
    endpoint = await place.look()
    assert endpoint.failing_since is None


async def test_a_later_change_of_the_same_thing_waits_and_others_do_not(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    receiver.answer = lambda one: 500 if one.version == 1 else 200
    for number, thing in [(1, 0), (2, 0), (3, 1), (4, 0), (5, 1)]:
        await place.write(number, thing)
    await place.deliver()
    assert sorted(receiver.versions) == [1, 3, 5]
    assert receiver.by_entity()[str(THINGS[1])] == [3, 5]
    await place.live(timedelta(hours=1))
    assert set(receiver.versions) == {1, 3, 5}
    assert receiver.versions.count(1) > 2
    await place.write(6, 1)
    await place.deliver()
    assert receiver.versions[-1] == 6, "a receiver that cannot digest one thing gets the others"
    receiver.answer = lambda _one: 200
    await place.live(timedelta(hours=12))
    assert receiver.versions[-3:] == [1, 2, 4]
    assert len({one.id for one in receiver.received if one.version == 1}) == 1


async def test_after_three_days_it_is_given_up_and_what_waited_goes_on(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    receiver.answer = lambda one: 500 if one.version == 1 else 200
    await place.write(1)
    await place.write(2)
    began = sender.clock.now()
    await place.live(timedelta(days=2, hours=23), timedelta(hours=1))
    assert await place.statuses() == [(1, "PENDING"), (2, "PENDING")]
    await place.live(timedelta(hours=2))
    assert await place.statuses() == [(1, "GIVEN_UP"), (2, "DELIVERED")]
    first, _ = await place.log()
    assert first.outcome == "status 500"
    assert first.attempts == len(first.tries) == receiver.versions.count(1) >= 10
    waits = [later.tried_at - earlier.tried_at for earlier, later in zip(first.tries, first.tries[1:], strict=False)]
    assert waits[-3] > waits[3], "the delays grow"
    assert first.tries[-1].tried_at - began >= timedelta(days=3) - timedelta(seconds=1)

    receiver.answer = lambda _one: 200
    again = await place.replay(first.id)
    assert (again.status, again.outcome) == ("PENDING", None)
    await place.deliver()
    assert (await place.statuses())[0] == (1, "DELIVERED")
    assert receiver.received[-1].id == first.id
    assert receiver.received[-1].raw == receiver.received[0].raw
    receiver.received[-1].verify(place.secret)


async def test_what_is_replayed_holds_up_nothing(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    await place.write(1)
    await place.deliver()
    receiver.answer = lambda one: 500 if one.version == 1 else 200
    [first] = await place.log()
    await place.replay(first.id)
    await place.write(2)
    await place.deliver()
    assert receiver.versions == [1, 1, 2]
    assert await place.statuses() == [(1, "PENDING"), (2, "DELIVERED")]


async def test_410_disables_the_endpoint_and_its_admins_are_told(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    receiver.answer = lambda _one: 410
    for number in (1, 2):
        await place.write(number)
    await place.deliver()
    assert receiver.versions == [1]
    endpoint = await place.look()
    assert (endpoint.enabled, endpoint.disabled_reason, endpoint.version) == (False, "GONE", 2)
    await place.write(3)
    await place.live(timedelta(days=1))
    assert receiver.versions == [1]
    async with sender.database.reading() as session:
        told = (
            await session.execute(text("SELECT user_id, type FROM notifications WHERE type LIKE 'webhooks.%'"))
        ).all()
        announced = (
            await session.execute(
                text("SELECT count(*) FROM changes WHERE entity = 'webhook_endpoint' AND action = 'disabled'")
            )
        ).scalar_one()
    assert [tuple(row) for row in told] == [(place.owner.id, "webhooks.endpoint_disabled")]
    assert announced == 1

    receiver.answer = lambda _one: 200
    await place.change(enabled=True, catchUp=True)
    await place.deliver()
    assert receiver.versions == [1, 2, 3]
    assert await place.statuses() == [(1, "GIVEN_UP"), (2, "DELIVERED"), (3, "DELIVERED")]


async def test_who_does_not_catch_up_begins_with_what_comes(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    receiver.answer = lambda _one: 503
    await place.write(1)
    await place.deliver()
    await place.change(enabled=False)
    await place.write(2)
    await place.live(timedelta(hours=2))
    receiver.answer = lambda _one: 200
    await place.change(enabled=True)
    await place.write(3)
    await place.deliver()
    assert receiver.versions == [1, 3]
    assert await place.statuses() == [(1, "SKIPPED"), (3, "DELIVERED")]


async def test_five_days_without_success_disable_the_endpoint(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    receiver.answer = lambda _one: 503
    for day in range(6):
        await place.write(day)
        await place.live(timedelta(days=1), timedelta(hours=4))
        if day == 3:
            assert (await place.look()).enabled
            assert (await place.statuses())[0] == (0, "GIVEN_UP")
    endpoint = await place.look()
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, "FAILING")
    async with sender.database.reading() as session:
        told = await session.execute(text("SELECT count(*) FROM notifications WHERE type LIKE 'webhooks.%'"))
        assert told.scalar_one() == 1


@pytest.mark.parametrize("status", [503, 500])
async def test_where_little_is_sent_one_failure_after_a_long_while_disables_nothing(
    sender: Platform, receiver: Receiver, status: int
) -> None:
    """Every change is tried for three days, whatever became of the one before it a month ago."""
    place = await open_place(sender, receiver.url)
    receiver.answer = lambda _one: status
    await place.write(1)
    await place.live(timedelta(days=3, hours=12), timedelta(hours=4))
    assert await place.statuses() == [(1, "GIVEN_UP")]
    await place.live(timedelta(days=26), timedelta(days=13))
    await place.write(2)
    await place.test()
    await place.deliver()
    assert (await place.look()).enabled
    receiver.answer = lambda _one: 200
    await place.live(timedelta(hours=1))
    assert receiver.versions[-1] == 2
    assert (await place.look()).failing_since is None


async def test_a_receiver_that_asks_for_time_gets_it(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    receiver.answer, receiver.headers = lambda _one: 429, {"retry-after": "600"}
    for number in (1, 2):
        await place.write(number, thing=number)
    await place.deliver()
    asked = len(receiver.received)
    await place.live(timedelta(minutes=9), timedelta(minutes=1))
    assert len(receiver.received) == asked
    receiver.answer, receiver.headers = lambda _one: 200, {}
    await place.live(timedelta(minutes=2), timedelta(minutes=1))
    assert sorted(receiver.versions[asked:]) == [1, 2]


async def test_redirects_are_not_followed(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    receiver.answer, receiver.headers = lambda _one: 307, {"location": f"{receiver.url}/elsewhere"}
    await place.write(1)
    await place.deliver()
    assert [one.path for one in receiver.received] == ["/hooks"]
    [logged] = await place.log()
    assert (logged.status, logged.outcome) == ("PENDING", "status 307")


async def test_of_a_long_answer_the_beginning_is_kept(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    receiver.content = b"\x00\xff" + b"a" * 5_000_000
    await place.write(1)
    await place.deliver()
    [logged] = await place.log()
    assert logged.tries[0].answer == "\ufffd\ufffd" + "a" * 1022


async def test_both_secrets_sign_while_one_is_rotated(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    clock = sender.clock
    assert isinstance(clock, MovableClock)

    async def rotate(overlap_h: int) -> str:
        async with sender.database.transaction() as session:
            _, secret = await service.rotate_secret(session, sender, place.scope, place.endpoint_id, overlap_h, None)
            return secret

    async def next_one(number: int) -> Received:
        await place.write(number)
        await place.deliver()
        assert receiver.versions[-1] == number
        return receiver.received[-1]

    second = await rotate(24)
    assert second != place.secret
    both = await next_one(1)
    both.verify(place.secret)
    both.verify(second)
    assert len(both.headers["webhook-signature"].split(" ")) == 2

    third = await rotate(24)
    newest = await next_one(2)
    newest.verify(second)
    newest.verify(third)
    with pytest.raises(WebhookVerificationError):
        newest.verify(place.secret)

    # The overlap is real time, in which business time has no part.
    await place.live(timedelta(days=2), timedelta(days=1))
    assert len((await next_one(3)).headers["webhook-signature"].split(" ")) == 2
    async with sender.database.transaction() as session:
        await session.execute(
            text("UPDATE webhook_endpoints SET previous_secret_until = previous_secret_until - interval '24 hours'")
        )
    alone = await next_one(4)
    alone.verify(third)
    with pytest.raises(WebhookVerificationError):
        alone.verify(second)

    fourth = await rotate(0)
    at_once = await next_one(5)
    at_once.verify(fourth)
    with pytest.raises(WebhookVerificationError):
        at_once.verify(third)


async def test_secrets_are_sealed_where_they_rest(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    async with sender.database.reading() as session:
        row = (
            await session.execute(text("SELECT row_to_json(e)::text, sealed_secret FROM webhook_endpoints e"))
        ).one()
    assert place.secret.removeprefix("whsec_") not in row[0]
    assert len(row[1]) > 32
    async with sender.database.reading() as session:
        logged = (await session.execute(text("SELECT string_agg(details::text, '') FROM audit_entries"))).scalar_one()
    assert place.secret not in (logged or "")


async def test_a_test_is_sent_at_once_and_once(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url, events=["member.added"])
    receiver.answer = lambda _one: 503
    put = await place.test()
    await place.deliver()
    [one] = receiver.received
    assert (one.body["type"], one.data["position"], one.id) == ("webhook_endpoint.tested", None, put.id)
    one.verify(place.secret)
    [logged] = await place.log()
    assert (logged.status, logged.tries[0].status_code) == ("GIVEN_UP", 503)
    receiver.answer = lambda _one: 200
    await place.test()
    await place.deliver()
    assert len(receiver.received) == 2, "a receiver that is away is tested too"


# --- crashes and company ------------------------------------------------------------------------------------------


async def test_two_workers_never_send_the_same_at_once(fresh_database: str, receiver: Receiver) -> None:
    settings = settings_for(fresh_database, webhooks=ALLOWED)
    under_way: set[object] = set()
    together: list[object] = []

    async def slowly(one: Received) -> int:
        if one.id in under_way:
            together.append(one.id)
        under_way.add(one.id)
        await asyncio.sleep(0.005)
        under_way.discard(one.id)
        return 200

    receiver.answer = slowly
    async with open_platform(settings, MovableClock()) as first, open_platform(settings, MovableClock()) as second:
        place = await open_place(first, receiver.url)
        workers = [one.part(WebhookDispatcher) for one in (first, second)]
        for one in workers:
            await one.start()
        try:
            for number in range(60):
                await place.write(number, thing=number % len(THINGS))
                # Sweeps of both run into the workers' own sending.
                if number % 10 == 0:
                    await asyncio.gather(flows.deliver_due(first), flows.deliver_due(second))
            await receiver.until(60)
        finally:
            for one in workers:
                await one.stop()
        assert together == []
        assert sorted(receiver.versions) == list(range(60)), "each once"
        assert receiver.by_entity() == {
            str(thing): list(range(index, 60, len(THINGS))) for index, thing in enumerate(THINGS)
        }


async def test_who_dies_between_sending_and_settling_sends_again_under_the_same_id(
    sender: Platform, receiver: Receiver
) -> None:
    place = await open_place(sender, receiver.url)
    await place.write(1)
    await place.write(2)
    async with sender.database.transaction() as session:
        claimed = await delivering.claim(session, sender, place.endpoint_id)
    assert claimed is not None
    async with sender.database.transaction() as session:
        batch = await delivering.take(session, sender, claimed)
    assert batch is not None
    results = await flows.send(sender, batch)
    assert receiver.versions == [1, 2]
    # Here the power is cut. Until the claim has lapsed nobody touches the endpoint.
    await place.live(timedelta(hours=3), timedelta(hours=1))
    assert receiver.versions == [1, 2]
    clock = sender.clock
    assert isinstance(clock, MovableClock)
    clock.advance(seconds=3)
    await place.deliver()
    assert receiver.versions == [1, 2]
    async with sender.database.transaction() as session:
        await session.execute(
            text("UPDATE webhook_endpoints SET claimed_until = claimed_until - interval '2 minutes'")
        )
    await place.deliver()
    assert receiver.versions == [1, 2, 1, 2]
    assert [one.id for one in receiver.received[:2]] == [one.id for one in receiver.received[2:]]
    assert [one.raw for one in receiver.received[:2]] == [one.raw for one in receiver.received[2:]]
    async with sender.database.transaction() as session:
        assert not await delivering.settle(session, sender, claimed, results), (
            "a claim that has lapsed settles nothing"
        )
    assert await place.statuses() == [(1, "DELIVERED"), (2, "DELIVERED")]
    assert [one.attempts for one in await place.log()] == [1, 1]


async def test_a_crash_before_sending_loses_nothing(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    await place.write(1)
    async with sender.database.transaction() as session:
        claimed = await delivering.claim(session, sender, place.endpoint_id)
        assert claimed is not None
        await delivering.take(session, sender, claimed)
    async with sender.database.transaction() as session:
        await session.execute(
            text("UPDATE webhook_endpoints SET claimed_until = claimed_until - interval '2 minutes'")
        )
    await place.deliver()
    assert receiver.versions == [1]


async def test_a_worker_is_woken_by_the_change(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    dispatcher = sender.part(WebhookDispatcher)
    await dispatcher.start()
    try:
        await asyncio.sleep(0.2)
        began = asyncio.get_running_loop().time()
        await place.write(1)
        await receiver.until(1)
        assert asyncio.get_running_loop().time() - began < 1
        await place.test()
        await receiver.until(2)
        assert asyncio.get_running_loop().time() - began < 2
    finally:
        await dispatcher.stop()


async def test_nothing_is_held_while_a_receiver_thinks(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    thinking, go_on = asyncio.Event(), asyncio.Event()

    async def think(_one: Received) -> int:
        thinking.set()
        await go_on.wait()
        return 200

    receiver.answer = think
    await place.write(1)
    delivering_now = asyncio.create_task(place.deliver())
    await asyncio.wait_for(thinking.wait(), 10)
    async with sender.database.reading() as session:
        open_ones = await session.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()"
            )
        )
        assert open_ones.scalar_one() == 0
    changed = await asyncio.wait_for(place.change(description="still here"), 2)
    assert changed.description == "still here"
    go_on.set()
    await delivering_now
    assert await place.statuses() == [(1, "DELIVERED")]


async def test_an_endpoint_that_is_deleted_while_it_is_sent_to(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)

    async def go(_one: Received) -> int:
        async with sender.database.transaction() as session:
            await service.delete(session, sender, place.scope, place.endpoint_id, None)
        return 200

    receiver.answer = go
    await place.write(1)
    await place.write(2)
    await place.deliver()
    await place.deliver()
    assert receiver.versions[:1] == [1]
    await jobs.forget(JobContext(sender, "webhooks_out.forget"))
    async with sender.database.reading() as session:
        for table in ("webhook_endpoints", "webhook_deliveries", "webhook_attempts"):
            assert (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0


async def test_of_a_long_backlog_only_a_window_stands_in_the_table(
    sender: Platform, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "WINDOW", 5)
    place = await open_place(sender, receiver.url)
    receiver.answer = lambda _one: 503
    for number in range(20):
        await place.write(number, thing=number % 2)
    await place.deliver()
    assert len(await place.log()) == 5
    receiver.answer = lambda _one: 200
    receiver.received.clear()
    await place.live(timedelta(hours=2))
    assert receiver.by_entity() == {str(THINGS[one]): list(range(one, 20, 2)) for one in (0, 1)}


async def test_what_is_over_is_forgotten_after_30_days(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)
    await place.write(1)
    await place.deliver()
    sender.clock.shift_to(timedelta(days=29))
    await jobs.forget(JobContext(sender, "webhooks_out.forget"))
    assert len(await place.log()) == 1
    sender.clock.shift_to(timedelta(days=31))
    await jobs.forget(JobContext(sender, "webhooks_out.forget"))
    assert await place.log() == []
    assert (await place.look()).enabled


async def test_what_nobody_foresaw_is_a_try_like_any_other(sender: Platform, receiver: Receiver) -> None:
    """Here a secret that no library takes. It must neither stop the others nor come again for ever."""
    broken, whole = await open_place(sender, receiver.url), await open_place(sender, receiver.url)
    async with sender.database.transaction() as session:
        await session.execute(
            text("UPDATE webhook_endpoints SET sealed_secret = :sealed WHERE id = :id"),
            {"id": broken.endpoint_id, "sealed": service.seal(sender, broken.endpoint_id, b"")},
        )
    await broken.write(1)
    await whole.write(2)
    await broken.deliver()
    assert receiver.versions == [2]
    [logged] = await broken.log()
    assert (logged.status, logged.attempts, logged.outcome) == ("PENDING", 1, "EmptyWebhookSecretError")
    await broken.live(timedelta(days=3, hours=1), timedelta(hours=6))
    assert await broken.statuses() == [(1, "GIVEN_UP")]


async def test_what_arrives_after_the_endpoint_was_disabled_has_arrived(sender: Platform, receiver: Receiver) -> None:
    place = await open_place(sender, receiver.url)

    async def go(one: Received) -> int:
        if one.version == 1:
            await place.change(enabled=False)
            await place.change(enabled=True)
        return 200 if one.version == 1 else 503

    receiver.answer = go
    await place.write(1)
    await place.write(2)
    await place.deliver()
    await place.deliver()
    assert await place.statuses() == [(1, "DELIVERED"), (2, "SKIPPED")]
    assert (await place.look()).enabled
