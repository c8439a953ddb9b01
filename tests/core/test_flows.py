"""Flows: whatever breaks between us, the provider and the database, what was asked for once stands there once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from fastapi import Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import flows
from pm_api.core.crypto import SealBroken
from pm_api.core.errors import Conflict, PaymentRequired, Unprocessable
from pm_api.core.flows import ChangeInProgress, FlowKind, FlowView, RequestKey
from pm_api.core.idempotency import IdempotencyInProgress, IdempotencyKeyReused
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.integrations.stripe import PaymentProviderUnavailable, StripeCustomer, StripeDoor, customers
from pm_api.operations.jobs import forget_flows, sweep_flows
from tests.support.clock import MovableClock
from tests.support.processes import free_port
from tests.support.stripe import Json, Till, clone, door_to, open_till, sandbox_stripe

CUSTOMERS = "/v1/customers"
LEASE_S = 2
SECRET = "a word that only the buyer may read"

Step = Callable[[], Awaitable[Any]]


class Died(BaseException):
    """The process is gone: nothing of it runs on, and nobody is told."""


async def die() -> None:
    raise Died


@dataclass
class Visit:
    """What happens on the way, and what was asked of the kind."""

    before_act: Step | None = None
    after_act: Step | None = None
    in_settle: Step | None = None
    acted: list[UUID] = field(default_factory=list)


class MakeCustomer(FlowKind[StripeCustomer]):
    """A customer at Stripe for each flow, and a row of ours about it."""

    name = "tests.make_customer"

    def __init__(self) -> None:
        self.visit = Visit()

    async def act(self, platform: Platform, flow: FlowView) -> StripeCustomer:
        self.visit.acted.append(flow.id)
        if self.visit.before_act is not None:
            await self.visit.before_act()
        made = await customers.create(
            platform.part(StripeDoor),
            name="Ada",
            email=flow.parameters["email"],
            metadata=flow.metadata,
            key=flow.key("customer"),
        )
        if self.visit.after_act is not None:
            await self.visit.after_act()
        return made

    async def find(self, platform: Platform, flow: FlowView) -> StripeCustomer | None:
        found = await customers.list_with_email(platform.part(StripeDoor), flow.parameters["email"])
        return next((one for one in found.items if one.metadata.get("flow") == str(flow.id)), None)

    async def settle(
        self, session: AsyncSession, _platform: Platform, flow: FlowView, found: StripeCustomer
    ) -> Response:
        await session.execute(
            text("INSERT INTO made (flow, customer) VALUES (:flow, :customer)"),
            {"flow": flow.id, "customer": found.id},
        )
        if self.visit.in_settle is not None:
            await self.visit.in_settle()
        body = orjson.dumps({"customer": found.id, "secret": SECRET})
        return Response(body, 201, {"Location": f"/made/{found.id}"}, "application/json")

    async def give_up(self, session: AsyncSession, _platform: Platform, flow: FlowView) -> None:
        await session.execute(text("UPDATE intents SET given_up = true WHERE flow = :flow"), {"flow": flow.id})


KIND = flows.register(MakeCustomer())


@dataclass
class Workshop:
    """A till, and flows through it."""

    till: Till
    email: str = field(default_factory=lambda: f"{uuid4().hex}@example.com")
    doors: list[StripeDoor] = field(default_factory=list)

    def door(self, *, address: str | None = None, timeout_s: float = 10.0) -> StripeDoor:
        self.doors.append(door_to(self.platform, address or self.till.stripe.url, timeout_s=timeout_s))
        return self.doors[-1]

    @property
    def platform(self) -> Platform:
        return self.till.platform

    @property
    def clock(self) -> MovableClock:
        assert isinstance(self.platform.clock, MovableClock)
        return self.platform.clock

    async def begin(self, session: AsyncSession, flow_id: UUID) -> Json:
        await session.execute(text("INSERT INTO intents (flow) VALUES (:flow)"), {"flow": flow_id})
        return {"email": self.email}

    async def run(self, key: str | None = "k", *, body: str = "body", exclusive: str | None = None) -> Response:
        asked = RequestKey(self.email, "makeCustomer", key, body.encode()) if key is not None else None
        return await flows.run(self.platform, KIND, self.begin, request_key=asked, exclusive=exclusive)

    async def sweep(self) -> None:
        await sweep_flows(JobContext(self.platform, "test"))

    async def row(self, key: str = "k") -> Json:
        [row] = await self.till.query(
            "SELECT * FROM flows WHERE caller = :caller AND key = :key", caller=self.email, key=key
        )
        return row

    async def statuses(self) -> list[str]:
        rows = await self.till.query("SELECT status FROM flows WHERE caller = :caller ORDER BY id", caller=self.email)
        return [row["status"] for row in rows]

    async def made(self) -> list[str]:
        """Customers in our rows."""
        rows = await self.till.query(
            "SELECT customer FROM made JOIN flows ON flows.id = made.flow WHERE parameters->>'email' = :email",
            email=self.email,
        )
        return [row["customer"] for row in rows]

    async def at_stripe(self) -> list[str]:
        """Customers that Stripe has."""
        found = await customers.list_with_email(self.door(), self.email)
        return [one.id for one in found.items]

    async def given_up(self) -> int:
        rows = await self.till.query(
            "SELECT 1 AS one FROM intents JOIN flows ON flows.id = intents.flow WHERE given_up AND caller = :caller",
            caller=self.email,
        )
        return len(rows)

    async def posts(self) -> list[str]:
        """The keys under which Stripe was asked for a customer, in order."""
        asked = (await self.till.stripe.http.get("/_sandbox/requests")).json()["requests"]
        return [
            one["idempotencyKey"]
            for one in asked
            if (one["method"], one["path"]) == ("POST", CUSTOMERS) and self.email.split("@")[0] in one["body"]
        ]

    async def exactly_one(self) -> str:
        [there], [here] = await self.at_stripe(), await self.made()
        assert there == here
        return there


@pytest.fixture(scope="module")
async def till() -> AsyncIterator[Till]:
    async with (
        clone() as database,
        sandbox_stripe() as stripe,
        open_till(database, stripe, worker_heartbeat_timeout_s=LEASE_S) as opened,
    ):
        async with opened.platform.database.transaction() as session:
            await session.execute(text("CREATE TABLE made (flow uuid PRIMARY KEY, customer text NOT NULL)"))
            await session.execute(text("CREATE TABLE intents (flow uuid PRIMARY KEY, given_up bool DEFAULT false)"))
        yield opened


@pytest.fixture
async def workshop(till: Till) -> AsyncIterator[Workshop]:
    KIND.visit = Visit()
    whole = till.platform.part(StripeDoor)
    shop = Workshop(till)
    yield shop
    till.platform.provide(whole)
    for door in shop.doors:
        await door.close()
    await till.stripe.heal()
    shop.clock.reset()
    async with till.platform.database.transaction() as session:
        await session.execute(text("DELETE FROM flows"))


def customer_in(answer: Response) -> str:
    found: str = orjson.loads(answer.body)["customer"]
    return found


def replayed(answer: Response) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


# --- one request, many requests ---------------------------------------------------------------------------------


async def test_the_same_key_is_answered_as_before(workshop: Workshop) -> None:
    first = await workshop.run()
    again = await workshop.run()
    assert (first.status_code, replayed(first)) == (201, False)
    assert (again.status_code, replayed(again)) == (201, True)
    assert again.body == first.body
    assert again.headers["location"] == first.headers["location"] == f"/made/{customer_in(first)}"
    assert customer_in(first) == await workshop.exactly_one()
    assert len(KIND.visit.acted) == 1


@pytest.mark.parametrize("many", [2, 20])
async def test_the_same_key_at_once_is_one_object(workshop: Workshop, many: int) -> None:
    answers = await asyncio.gather(*(workshop.run() for _ in range(many)))
    assert {customer_in(answer) for answer in answers} == {await workshop.exactly_one()}
    assert sum(not replayed(answer) for answer in answers) == 1
    assert len(await workshop.posts()) == 1


async def test_other_keys_are_other_intentions(workshop: Workshop) -> None:
    answers = await asyncio.gather(*(workshop.run(f"k{number}") for number in range(5)))
    assert len({customer_in(answer) for answer in answers}) == 5
    assert sorted(await workshop.at_stripe()) == sorted(await workshop.made())


async def test_the_same_key_with_another_body_is_refused(workshop: Workshop) -> None:
    await workshop.run()
    with pytest.raises(IdempotencyKeyReused):
        await workshop.run(body="another")
    await workshop.exactly_one()


async def test_a_flow_without_a_key_is_carried_out_each_time(workshop: Workshop) -> None:
    first, second = await workshop.run(None), await workshop.run(None)
    assert customer_in(first) != customer_in(second)
    assert len(await workshop.at_stripe()) == 2


async def test_a_caller_who_goes_away_does_not_stop_it(workshop: Workshop) -> None:
    reached, on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await on.wait()

    KIND.visit.after_act = wait
    request = asyncio.create_task(workshop.run())
    await reached.wait()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    assert request.cancelled()
    on.set()
    answer = await workshop.run()
    assert replayed(answer)
    assert customer_in(answer) == await workshop.exactly_one()


async def test_under_way_is_told_after_two_seconds_however_long_it_takes(workshop: Workshop) -> None:
    """Longer than a lease: it is extended for as long as the work takes, so nobody takes it over."""
    reached, on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await on.wait()

    KIND.visit.after_act = wait
    first = asyncio.create_task(workshop.run())
    await reached.wait()
    with pytest.raises(IdempotencyInProgress) as told:
        await workshop.run()
    assert told.value.headers["Retry-After"] == "1"
    with pytest.raises(IdempotencyInProgress):  # over two leases by now
        await workshop.run()
    await workshop.sweep()
    on.set()
    assert customer_in(await first) == await workshop.exactly_one()
    assert len(KIND.visit.acted) == 1


# --- the process dies -------------------------------------------------------------------------------------------


async def died(workshop: Workshop, visit: Visit) -> None:
    """A request whose process dies there, and whose lease has run out since."""
    KIND.visit = visit
    with pytest.raises(Died):
        await workshop.run()
    KIND.visit = Visit()
    row = await workshop.row()
    assert (row["status"], row["holder"] is None) == ("OPEN", False)
    workshop.clock.advance(seconds=LEASE_S + 0.1)


@pytest.mark.parametrize("visit", [Visit(after_act=die), Visit(in_settle=die)], ids=["after act", "in settle"])
async def test_what_died_after_it_acted_is_settled_by_the_sweep(workshop: Workshop, visit: Visit) -> None:
    await died(workshop, visit)
    assert await workshop.made() == []
    await workshop.sweep()
    customer = await workshop.exactly_one()
    assert KIND.visit.acted == []
    answer = await workshop.run()
    assert (answer.status_code, replayed(answer), customer_in(answer)) == (201, True, customer)


@pytest.mark.parametrize(
    ("visit", "acts_again"),
    [(Visit(before_act=die), True), (Visit(after_act=die), False), (Visit(in_settle=die), False)],
    ids=["before act", "after act", "in settle"],
)
async def test_what_died_is_taken_over_by_the_next_request(
    workshop: Workshop, visit: Visit, acts_again: bool
) -> None:
    await died(workshop, visit)
    answers = await asyncio.gather(*(workshop.run() for _ in range(5)))
    assert {customer_in(answer) for answer in answers} == {await workshop.exactly_one()}
    assert sum(not replayed(answer) for answer in answers) == 1
    assert len(KIND.visit.acted) == acts_again


async def test_while_the_lease_runs_nobody_takes_over(workshop: Workshop) -> None:
    KIND.visit.after_act = die
    with pytest.raises(Died):
        await workshop.run()
    KIND.visit = Visit()
    workshop.clock.move_to(workshop.clock.wall())
    await workshop.sweep()
    assert (await workshop.row())["status"] == "OPEN"
    assert await workshop.made() == []


async def test_what_died_before_it_acted_is_given_up_but_not_at_once(workshop: Workshop) -> None:
    await died(workshop, Visit(before_act=die))
    await workshop.sweep()
    assert (await workshop.row())["status"] == "OPEN", "its write may still be on its way"
    workshop.clock.advance(seconds=50)
    await workshop.sweep()
    assert (await workshop.row())["status"] == "OPEN"
    workshop.clock.advance(seconds=11)
    await workshop.sweep()
    assert await workshop.statuses() == ["ABANDONED"]
    assert (await workshop.at_stripe(), await workshop.given_up()) == ([], 1)
    assert KIND.visit.acted == [], "the sweep never writes to a provider"

    answer = await workshop.run()
    assert not replayed(answer), "the key was free again"
    assert customer_in(answer) == await workshop.exactly_one()


async def test_a_holder_who_was_only_silent_gives_the_others_answer(workshop: Workshop) -> None:
    """A process that stood still for longer than its lease wakes up after another has ended its flow."""
    reached, on = asyncio.Event(), asyncio.Event()

    async def stand_still() -> None:
        reached.set()
        await on.wait()

    KIND.visit.after_act = stand_still
    silent = asyncio.create_task(workshop.run())
    await reached.wait()
    KIND.visit = Visit()
    workshop.clock.advance(seconds=LEASE_S + 1)
    taken = await workshop.run()
    on.set()
    late = await silent
    assert not replayed(taken)
    assert (replayed(late), late.body) == (True, taken.body)
    await workshop.exactly_one()


async def test_two_sweeps_at_once_end_everything_once(workshop: Workshop) -> None:
    KIND.visit.after_act = die
    for number in range(8):
        with pytest.raises(Died):
            await workshop.run(f"k{number}")
    KIND.visit = Visit()
    workshop.clock.advance(seconds=LEASE_S + 0.1)
    await asyncio.gather(*(workshop.sweep() for _ in range(3)))
    assert set(await workshop.statuses()) == {"DONE"}
    assert sorted(await workshop.made()) == sorted(await workshop.at_stripe())
    assert len(await workshop.made()) == 8


async def test_a_sweep_and_a_retry_at_once_end_it_once(workshop: Workshop) -> None:
    await died(workshop, Visit(after_act=die))
    _, answer = await asyncio.gather(workshop.sweep(), workshop.run())
    assert customer_in(answer) == await workshop.exactly_one()


# --- the provider fails -----------------------------------------------------------------------------------------


async def test_a_provider_that_acts_after_we_stopped_listening(workshop: Workshop) -> None:
    """503, also to whoever asks again too early; then the same key hears that it had gone through."""
    workshop.platform.provide(workshop.door(timeout_s=0.3))
    await workshop.till.stripe.fail(pathPrefix=CUSTOMERS, method="POST", delayS=2.5, times=1)
    for _ in range(2):
        with pytest.raises(PaymentProviderUnavailable) as told:
            await workshop.run()
        assert told.value.headers["Retry-After"]
        assert (await workshop.row())["holder"] is None
    for _ in range(200):
        if await workshop.at_stripe():
            break
        await asyncio.sleep(0.05)
    KIND.visit = Visit()
    answer = await workshop.run()
    assert (answer.status_code, replayed(answer)) == (201, False)
    assert customer_in(answer) == await workshop.exactly_one()
    assert KIND.visit.acted == [], "it was found"
    assert len(set(await workshop.posts())) == 1, "what may arrive yet is one only under the same key"


async def test_what_went_silent_is_settled_without_a_retry(workshop: Workshop) -> None:
    await workshop.till.stripe.fail(pathPrefix=CUSTOMERS, method="POST", status=500, actThenFail=True, times=1)
    with pytest.raises(PaymentProviderUnavailable):
        await workshop.run()
    assert await workshop.made() == []
    await workshop.sweep()
    await workshop.exactly_one()
    assert replayed(await workshop.run())


async def test_a_failure_that_stripe_keeps_is_tried_under_another_key(workshop: Workshop) -> None:
    """Stripe answers 500 again and again under the same key; the flow must get past it."""
    await workshop.till.stripe.fail(pathPrefix=CUSTOMERS, method="POST", status=500, times=1)
    with pytest.raises(PaymentProviderUnavailable):
        await workshop.run()
    answer = await workshop.run()
    assert customer_in(answer) == await workshop.exactly_one()
    asked = await workshop.posts()
    assert len(set(asked)) == 2
    assert [key.split(":")[2] for key in (asked[0], asked[-1])] == ["1", "2"]


async def test_a_refused_connection_frees_the_key(workshop: Workshop) -> None:
    workshop.platform.provide(workshop.door(address=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(PaymentProviderUnavailable):
        await workshop.run()
    assert await workshop.statuses() == ["ABANDONED"]
    assert await workshop.given_up() == 1
    workshop.platform.provide(workshop.door())
    answer = await workshop.run(body="even another one")
    assert not replayed(answer)
    await workshop.exactly_one()


async def test_while_the_provider_is_away_the_sweep_gives_nothing_up(workshop: Workshop) -> None:
    await died(workshop, Visit(before_act=die))
    workshop.clock.advance(minutes=2)
    workshop.platform.provide(workshop.door(address=f"http://127.0.0.1:{free_port()}"))
    await workshop.sweep()
    row = await workshop.row()
    assert (row["status"], row["holder"], row["looks"]) == ("OPEN", None, 1)
    assert await workshop.given_up() == 0


# --- refusals ---------------------------------------------------------------------------------------------------


def refusing(error: Exception) -> Step:
    async def refuse() -> None:
        raise error

    return refuse


async def test_a_business_refusal_of_the_provider_is_kept(workshop: Workshop) -> None:
    KIND.visit.before_act = refusing(PaymentRequired())
    with pytest.raises(PaymentRequired):
        await workshop.run()
    KIND.visit = Visit()
    answer = await workshop.run()
    assert (answer.status_code, replayed(answer)) == (402, True)
    assert orjson.loads(answer.body)["code"] == "payment_required"
    assert (await workshop.given_up(), KIND.visit.acted) == (1, [])


async def test_another_refusal_frees_the_key(workshop: Workshop) -> None:
    KIND.visit.before_act = refusing(Unprocessable())
    with pytest.raises(Unprocessable):
        await workshop.run()
    assert (await workshop.statuses(), await workshop.given_up()) == (["ABANDONED"], 1)
    KIND.visit = Visit()
    assert (await workshop.run()).status_code == 201


async def test_a_refusal_of_the_first_transaction_is_kept_without_its_effects(workshop: Workshop) -> None:
    async def begin(session: AsyncSession, flow_id: UUID) -> Json:
        await workshop.begin(session, flow_id)
        raise Conflict

    asked = RequestKey(workshop.email, "makeCustomer", "k", b"body")
    with pytest.raises(Conflict):
        await flows.run(workshop.platform, KIND, begin, request_key=asked)
    answer = await workshop.run()
    assert (answer.status_code, replayed(answer)) == (409, True)
    row = await workshop.row()
    assert await workshop.till.query("SELECT 1 FROM intents WHERE flow = :flow", flow=row["id"]) == []
    assert KIND.visit.acted == []


async def test_a_malformed_intent_leaves_nothing(workshop: Workshop) -> None:
    async def begin(_session: AsyncSession, _flow_id: UUID) -> Json:
        raise Unprocessable

    asked = RequestKey(workshop.email, "makeCustomer", "k", b"body")
    with pytest.raises(Unprocessable):
        await flows.run(workshop.platform, KIND, begin, request_key=asked)
    assert await workshop.statuses() == []


async def test_a_refusal_after_the_provider_acted_is_never_acted_upon_again(workshop: Workshop) -> None:
    """Whatever its status: the key is not free while something stands at the provider."""
    KIND.visit.in_settle = refusing(Unprocessable())
    with pytest.raises(Unprocessable):
        await workshop.run()
    KIND.visit = Visit()
    answer = await workshop.run()
    assert (answer.status_code, replayed(answer)) == (422, True)
    assert (await workshop.made(), KIND.visit.acted) == ([], [])
    assert len(await workshop.at_stripe()) == 1


async def test_a_result_that_cannot_be_written_is_written_later(workshop: Workshop) -> None:
    KIND.visit.in_settle = refusing(RuntimeError("no room on the disk"))
    with pytest.raises(RuntimeError):
        await workshop.run()
    KIND.visit = Visit()
    assert (await workshop.made(), (await workshop.row())["holder"]) == ([], None)
    answer = await workshop.run()
    assert customer_in(answer) == await workshop.exactly_one()
    assert KIND.visit.acted == []


# --- exclusive --------------------------------------------------------------------------------------------------


async def test_one_open_flow_of_an_exclusive_text(workshop: Workshop) -> None:
    reached, on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await on.wait()

    KIND.visit.after_act = wait
    first = asyncio.create_task(workshop.run("first", exclusive=workshop.email))
    await reached.wait()
    with pytest.raises(ChangeInProgress):
        await workshop.run("second", exclusive=workshop.email)
    KIND.visit = Visit()
    await workshop.run("elsewhere", exclusive=f"{workshop.email}, another")
    on.set()
    await first
    second = await workshop.run("second", exclusive=workshop.email)
    assert not replayed(second), "what was in the way has ended: the key kept no refusal"
    assert len(await workshop.at_stripe()) == 3


async def test_a_race_for_an_exclusive_text_has_one_winner(workshop: Workshop) -> None:
    on = asyncio.Event()
    KIND.visit.after_act = on.wait
    racers = [asyncio.create_task(workshop.run(f"k{number}", exclusive=workshop.email)) for number in range(10)]
    ended = asyncio.as_completed(racers)
    for _ in range(9):
        with pytest.raises(ChangeInProgress):
            await next(ended)
    on.set()
    await asyncio.gather(*racers, return_exceptions=True)
    await workshop.exactly_one()


# --- what is kept -----------------------------------------------------------------------------------------------


async def test_the_answer_is_sealed_in_the_database(workshop: Workshop) -> None:
    await workshop.run()
    row = await workshop.row()
    assert SECRET.encode() not in row["sealed_answer"]
    assert not any(SECRET in str(value) for value in row.values())
    async with workshop.platform.database.transaction() as session:
        await session.execute(
            text("UPDATE flows SET key = 'moved' WHERE caller = :caller"), {"caller": workshop.email}
        )
    with pytest.raises(SealBroken):
        await workshop.run("moved")


async def test_the_answer_can_be_asked_for(workshop: Workshop) -> None:
    first = await workshop.run()
    async with workshop.platform.database.reading() as session:
        ask: Any = {"caller": workshop.email, "route": "makeCustomer", "key": "k"}
        found = await flows.stored_answer(session, workshop.platform, **ask)
        assert found is not None
        assert found.body == first.body
        assert await flows.stored_answer(session, workshop.platform, **{**ask, "caller": "somebody"}) is None


async def test_what_ended_is_forgotten_after_two_days_and_what_is_open_never(workshop: Workshop) -> None:
    await workshop.run("ended")
    KIND.visit.before_act = die
    with pytest.raises(Died):
        await workshop.run("open")
    context = JobContext(workshop.platform, "test")
    workshop.clock.advance(hours=47, minutes=59)
    await forget_flows(context)
    assert len(await workshop.statuses()) == 2
    workshop.clock.advance(minutes=2)
    await forget_flows(context)
    assert await workshop.statuses() == ["OPEN"]


async def test_two_kinds_cannot_share_a_name() -> None:
    with pytest.raises(TypeError, match=r"tests\.make_customer"):
        flows.register(MakeCustomer())
