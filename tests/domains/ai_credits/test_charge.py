"""Work that is charged: held, run, captured; released when it came to nothing; logged either way."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.core.errors import Conflict, NotFound
from pm_api.core.idempotency import api_router, request_fingerprint
from pm_api.core.platform import Platform
from pm_api.core.schema import ApiModel, ApiRequest
from pm_api.domains.ai_credits.charging import Charge, charge
from pm_api.domains.ai_credits.enums import Service
from pm_api.domains.ai_credits.errors import HoldExpired, WorkFailed
from pm_api.domains.ai_credits.guards import _while_connected, charged, charged_stream
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person, client_of
from tests.domains.ai_credits.holding import figures, grant, is_proved, new_pool, post, told
from tests.identity.teams import join, somebody_waits_for_a_lock
from tests.support.clock import MovableClock
from tests.support.server import serve

Json = dict[str, Any]
REPLAYED = "Idempotent-Replayed"
CALL: dict[str, Any] = {"url": "/api/test/work", "json": {"name": "x"}, "headers": {"Idempotency-Key": "k"}}
SECRET = "what nobody but the model may read"


class WorkRequest(ApiRequest):
    name: str
    workspace_id: UUID | None = None


class WorkDone(ApiModel):
    done: bool


class Workshop:
    """Routes whose work ends when and as a test says."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def work(self) -> None:
        self.began.set()
        await self.go_on.wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
def workshop() -> Workshop:
    return Workshop()


@pytest.fixture
async def workshop_app(platform: Platform, workshop: Workshop) -> FastAPI:
    app = create_app(platform.settings, platform)
    router = api_router(tag="tests")

    @router.post("/test/work", operation_id="testWork")
    async def test_work(
        work: Annotated[Charge, Depends(charged(Service.CHAT_ASSISTANT, WorkRequest), scope="function")],
        body: WorkRequest,
    ) -> WorkDone:
        work.report(model="m", tokens_in=3, name=body.name)
        work.report(tokens_in=4, tokens_out=5)
        await workshop.work()
        return WorkDone(done=True)

    @router.post("/test/stream", operation_id="testStream", response_class=EventSourceResponse)
    async def test_stream(
        work: Annotated[Charge, Depends(charged_stream(Service.CHAT_ASSISTANT, WorkRequest), scope="request")],
        body: WorkRequest,
    ) -> AsyncIterator[ServerSentEvent]:
        async with work:
            yield ServerSentEvent(event="begun", data={})
            await workshop.work()
            yield ServerSentEvent(event="done", data={})

    @router.post("/test/idle", operation_id="testIdle", response_class=EventSourceResponse)
    async def test_idle(
        _work: Annotated[Charge, Depends(charged_stream(Service.CHAT_ASSISTANT, WorkRequest), scope="request")],
        body: WorkRequest,
    ) -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(event="nothing", data={"name": body.name})

    app.include_router(router)
    return app


@pytest.fixture
async def worker(person: Person, workshop_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The person before the workshop."""
    headers = {"Authorization": person.client.headers["Authorization"]}
    async with client_of(workshop_app, headers=headers) as client:
        yield client


@pytest.fixture
async def server(workshop_app: FastAPI) -> AsyncIterator[str]:
    async with serve(workshop_app) as address:
        yield address


async def logs(platform: Platform, person: Person) -> list[Json]:
    async with platform.database.reading() as session:
        rows = await session.execute(
            text("SELECT * FROM ai_usage_logs WHERE user_id = :id ORDER BY id"), {"id": person.id}
        )
        return [dict(row) for row in rows.mappings()]


async def until(seen: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(3000):
        if await seen():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


# --- the example, as JSON ---------------------------------------------------------------------------------------


async def test_work_that_succeeds_is_paid_and_logged(person: Person, platform: Platform) -> None:
    answer = await post(person, "example/use-credits", text=SECRET)
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"] == {"words": 7, "characters": len(SECRET)}
    usage = answer.json()["usage"]
    assert (usage["creditsUsed"], usage["service"]) == (3, "TASK_GENERATION")
    assert usage["balance"] == {"current": 7, "held": 0, "debt": 0}
    [entry, _] = (await person.client.get("/api/credits/history")).json()["entries"]
    assert (entry["id"], entry["type"], entry["amount"]) == (usage["entryId"], "USAGE", -3)
    assert entry["metadata"] == {"operation": "useCredits", "usageLogId": usage["usageLogId"]}
    hold = (await person.client.get(f"/api/credits/holds/{usage['holdId']}")).json()["hold"]
    assert (hold["status"], hold["captured"], hold["service"]) == ("CAPTURED", 3, "TASK_GENERATION")
    [log] = await logs(platform, person)
    assert log.pop("duration_ms") >= 0
    assert log.pop("created_at") is not None
    assert log == {
        "id": UUID(usage["usageLogId"]),
        "account_id": person.id,
        "user_id": person.id,
        "workspace_id": None,
        "service": "TASK_GENERATION",
        "operation": "useCredits",
        "model": "example",
        "tokens_in": 7,
        "tokens_out": 1,
        "success": True,
        "error_code": None,
        "credits": 3,
        "hold_id": UUID(usage["holdId"]),
        "entry_id": UUID(usage["entryId"]),
        "request_data": {"quantity": 1, "text": {"length": len(SECRET)}},
    }
    assert await is_proved(person)


async def test_work_that_fails_costs_nothing_and_is_logged(person: Person, platform: Platform) -> None:
    assert told(await post(person, "example/use-credits", fail=True, text=SECRET)) == (422, "work_failed")
    assert await figures(person) == (10, 0, 0)
    [log] = await logs(platform, person)
    assert (log["success"], log["error_code"], log["credits"], log["entry_id"]) == (False, "work_failed", 0, None)
    [hold] = (await person.client.get("/api/credits/holds")).json()["holds"]
    assert (hold["id"], hold["status"]) == (str(log["hold_id"]), "RELEASED")


@pytest.mark.parametrize(("units", "used"), [(3, 6), (1, 2), (0, 0), (None, 6)])
async def test_only_units_that_were_used_are_paid(person: Person, units: int | None, used: int) -> None:
    body: dict[str, Any] = {"service": "CHAT_ASSISTANT", "quantity": 3} | ({} if units is None else {"units": units})
    usage = (await post(person, "example/use-credits", **body)).json()["usage"]
    assert (usage["creditsUsed"], usage["balance"]["current"]) == (used, 10 - used)
    assert (usage["entryId"] is None) == (used == 0)
    assert await figures(person) == (10 - used, 0, used)
    lines = (await person.client.get("/api/credits/history", params={"type": "USAGE"})).json()["entries"]
    assert [(line["quantity"], line["amount"]) for line in lines] == ([(used // 2, -used)] if used else [])


async def test_without_enough_credits_the_work_does_not_begin(person: Person, platform: Platform) -> None:
    answer = await post(person, "example/use-credits", service="WORKFLOW_OPTIMIZATION", quantity=3)
    problem = answer.json()
    assert told(answer) == (402, "insufficient_credits")
    assert (problem["needed"], problem["available"]) == (15, 10)
    assert problem["buyUrl"]
    assert await logs(platform, person) == []


@pytest.mark.parametrize("path", ["example/use-credits", "example/stream-credits"])
async def test_a_bad_body_does_not_touch_the_ledger(person: Person, platform: Platform, path: str) -> None:
    for body in ({"service": "MIND_READING"}, {"typo": 1}, {"text": "\x00"}, {"fail": "no"}):
        assert told(await post(person, path, **body)) == (422, "validation_failed")
    cut = await person.client.post(f"/api/{path}", content=b"{", headers={"Content-Type": "application/json"})
    assert cut.status_code == 400
    async with platform.database.reading() as session:
        commands = await session.scalar(
            text("SELECT count(*) FROM credit_commands WHERE account_id = :id"), {"id": person.id}
        )
    assert commands == 1, "the free plan's grant alone"


async def test_the_pool_pays_for_a_member_and_not_for_a_viewer(new_person: NewPerson, platform: Platform) -> None:
    ann, bob, vic, eve = [await new_person() for _ in range(4)]
    pool = await new_pool(ann, 20)
    await join(platform, pool, bob, Role.MEMBER)
    await join(platform, pool, vic, Role.VIEWER)
    answers = [await post(one, "example/use-credits", "same", workspaceId=pool) for one in (ann, bob, vic, eve)]
    assert [answer.status_code for answer in answers] == [200, 200, 403, 404]
    assert answers[0].json()["usage"]["holdId"] != answers[1].json()["usage"]["holdId"]
    [log] = await logs(platform, bob)
    assert (log["account_id"], log["workspace_id"]) == (UUID(pool), UUID(pool))
    assert await figures(ann, workspaceId=pool) == (14, 0, 6)


# --- one key, one charge ----------------------------------------------------------------------------------------


async def test_a_retry_of_paid_work_gets_its_answer_again(person: Person, platform: Platform) -> None:
    first = await post(person, "example/use-credits", "k")
    again = await post(person, "example/use-credits", "k")
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert (first.headers.get(REPLAYED), again.headers[REPLAYED]) == (None, "true")
    assert told(await post(person, "example/use-credits", "k", text="other")) == (422, "idempotency_key_reused")
    asked = await person.client.get("/api/idempotency/k", params={"route": "useCredits"})
    assert asked.json()["outcome"]["body"] == first.json()
    assert len(await logs(platform, person)) == 1
    assert await figures(person) == (7, 0, 3)
    assert (await post(person, "example/stream-credits", "k")).status_code == 200, "another operation's keys"
    assert told(await post(person, "example/stream-credits", "k")) == (409, "already_charged"), "streams are not kept"


async def test_an_answer_is_kept_sealed(person: Person, platform: Platform) -> None:
    first = await post(person, "example/use-credits", "k")
    row = await key_row(platform, person)
    assert row is not None
    assert row["status_code"] == 200
    assert first.json()["usage"]["holdId"].encode() not in row["sealed_answer"]


async def key_row(platform: Platform, person: Person) -> Json | None:
    async with platform.database.reading() as session:
        rows = await session.execute(
            text("SELECT * FROM idempotency_keys WHERE caller = :caller AND key = 'k'"),
            {"caller": f"user:{person.id}"},
        )
        row = rows.mappings().one_or_none()
    return dict(row) if row else None


async def test_paid_work_whose_answer_was_lost_is_not_done_again(person: Person, platform: Platform) -> None:
    """The process died between the capture and the storing of the answer."""
    usage = (await post(person, "example/use-credits", "k")).json()["usage"]
    async with platform.database.transaction() as session:
        await session.execute(
            text("UPDATE idempotency_keys SET status_code = NULL, sealed_answer = 'gone' WHERE caller = :caller"),
            {"caller": f"user:{person.id}"},
        )
    for _ in range(2):
        again = await post(person, "example/use-credits", "k")
        assert told(again) == (409, "already_charged")
        assert (again.json()["holdId"], again.json()["creditsUsed"]) == (usage["holdId"], 3)
    async with platform.database.transaction() as session:  # as after 48 hours
        await session.execute(text("DELETE FROM idempotency_keys"))
    assert told(await post(person, "example/use-credits", "k")) == (409, "already_charged")
    assert len(await logs(platform, person)) == 1
    assert await figures(person) == (7, 0, 3)


async def test_work_that_took_nothing_is_answered_again_too(person: Person, platform: Platform) -> None:
    first = await post(person, "example/use-credits", "k", units=0)
    again = await post(person, "example/use-credits", "k", units=0)
    assert (again.content, again.headers[REPLAYED]) == (first.content, "true")
    assert len(await logs(platform, person)) == 1


async def test_failed_work_may_be_tried_again_under_its_key(
    worker: httpx.AsyncClient, workshop: Workshop, person: Person, platform: Platform
) -> None:
    workshop.go_on.set()
    headers = {"Idempotency-Key": "k"}
    for error in (WorkFailed(), NotFound()):
        workshop.error = error
        failed = await worker.post("/api/test/work", json={"name": "x"}, headers=headers)
        assert failed.status_code == error.status
    workshop.error = None
    assert (await worker.post("/api/test/work", json={"name": "x"}, headers=headers)).status_code == 200
    again = await worker.post("/api/test/work", json={"name": "x"}, headers=headers)
    assert (again.status_code, again.json(), again.headers[REPLAYED]) == (200, {"done": True}, "true")
    assert [log["error_code"] for log in await logs(platform, person)] == ["work_failed", "not_found", None]
    assert await figures(person) == (8, 0, 2)


class Taken(Conflict):
    """What the work wanted is somebody else's."""

    code = "taken"


async def test_a_refusal_stays_under_its_key(person: Person) -> None:
    body: dict[str, Any] = {"service": "WORKFLOW_OPTIMIZATION", "quantity": 3}
    first = await post(person, "example/use-credits", "k", **body)
    assert told(first) == (402, "insufficient_credits")
    await grant(person.client, 100, userId=str(person.id))
    again = await post(person, "example/use-credits", "k", **body)
    assert (again.status_code, again.content, again.headers[REPLAYED]) == (402, first.content, "true")
    asked = await person.client.get("/api/idempotency/k", params={"route": "useCredits"})
    assert asked.json()["outcome"]["body"] == first.json()
    assert (await post(person, "example/use-credits", "new", **body)).status_code == 200


async def test_a_business_refusal_of_the_work_stays_under_its_key(
    worker: httpx.AsyncClient, workshop: Workshop, person: Person, platform: Platform
) -> None:
    workshop.go_on.set()
    workshop.error = Taken()
    first = await worker.post(**CALL)
    assert told(first) == (409, "taken")
    workshop.error = None
    again = await worker.post(**CALL)
    assert (again.status_code, again.content, again.headers[REPLAYED]) == (409, first.content, "true")
    assert [log["error_code"] for log in await logs(platform, person)] == ["taken"]
    assert await figures(person) == (10, 0, 0)


async def test_work_that_broke_gives_its_key_back(
    workshop_app: FastAPI, workshop: Workshop, person: Person, platform: Platform
) -> None:
    workshop.go_on.set()
    workshop.error = RuntimeError("broken")
    headers = {"Authorization": person.client.headers["Authorization"]}
    async with client_of(workshop_app, headers=headers) as client:
        assert told(await client.post(**CALL)) == (500, "internal_error")
        assert await key_row(platform, person) is None
        workshop.error = None
        again = await client.post(**CALL)
    assert (again.status_code, again.headers.get(REPLAYED)) == (200, None)
    assert await figures(person) == (8, 0, 2)


async def test_cancelled_work_gives_its_key_back(
    worker: httpx.AsyncClient, workshop: Workshop, person: Person, platform: Platform
) -> None:
    request = asyncio.create_task(worker.post(**CALL))
    await workshop.began.wait()
    assert await key_row(platform, person) is not None
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request

    async def is_back() -> bool:
        return await key_row(platform, person) is None

    await until(is_back)
    workshop.go_on.set()
    again = await worker.post(**CALL)
    assert (again.status_code, again.headers.get(REPLAYED)) == (200, None)
    assert await figures(person) == (8, 0, 2)


async def test_a_client_that_went_away_may_come_back_with_its_key(
    server: str, workshop: Workshop, person: Person, platform: Platform
) -> None:
    headers = {"Authorization": person.client.headers["Authorization"]}
    async with httpx.AsyncClient(base_url=server, headers=headers, trust_env=False, verify=False) as client:
        request = asyncio.create_task(client.post(**CALL))
        await workshop.began.wait()
        request.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await request

        async def is_back() -> bool:
            return await key_row(platform, person) is None

        await until(is_back)
        workshop.go_on.set()
        assert (await client.post(**CALL)).status_code == 200
    assert await figures(person) == (8, 0, 2)


async def test_who_goes_away_while_it_is_paid_finds_the_answer_later(person: Person, platform: Platform) -> None:
    gone = asyncio.Event()

    async def receive() -> Json:
        await gone.wait()
        return {"type": "http.disconnect"}

    work = charge(platform, scope_of(person), Service.CHAT_ASSISTANT, operation="late")
    async with _while_connected(Request({"type": "http"}, receive), work), work:
        await work.capture()
        gone.set()
        for _ in range(5):
            await asyncio.sleep(0)  # a turn for the watcher, which would cancel this
    assert await figures(person) == (8, 0, 2)


async def test_a_key_whose_work_is_under_way_waits(
    worker: httpx.AsyncClient, workshop: Workshop, person: Person
) -> None:
    first = asyncio.create_task(worker.post(**CALL))
    await workshop.began.wait()
    changed = await worker.post(**(CALL | {"json": {"name": "y"}}))
    assert told(changed) == (422, "idempotency_key_reused")
    second = await worker.post(**CALL)
    assert told(second) == (409, "idempotency_in_progress")
    assert second.headers["Retry-After"] == "1"
    third = asyncio.create_task(worker.post(**CALL))
    workshop.go_on.set()
    assert (await first).status_code == 200
    assert ((await third).content, (await third).headers[REPLAYED]) == ((await first).content, "true")
    assert await figures(person) == (8, 0, 2)


async def test_nothing_is_open_while_the_work_is_done(
    worker: httpx.AsyncClient, workshop: Workshop, platform: Platform
) -> None:
    request = asyncio.create_task(worker.post(**CALL))
    await workshop.began.wait()
    async with platform.database.reading() as session:
        in_transaction = await session.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
            )
        )
    assert in_transaction == 0
    workshop.go_on.set()
    assert (await request).status_code == 200


async def test_the_work_of_a_process_that_died_is_taken_over(
    worker: httpx.AsyncClient, workshop: Workshop, person: Person, platform: Platform, clock: MovableClock
) -> None:
    workshop.go_on.set()
    content = request_fingerprint("POST", "/api/test/work", "", b'{"name":"x"}')
    dead = charge(platform, scope_of(person), Service.CHAT_ASSISTANT, operation="testWork", key="k", content=content)
    async with platform.database.transaction() as session:
        await session.execute(
            text("INSERT INTO idempotency_keys VALUES (:caller, 'testWork', 'k', :content, NULL, :holder, :now)"),
            {
                "caller": f"user:{person.id}",
                "content": content,
                "holder": dead.log_id.bytes,
                "now": platform.clock.now(),
            },
        )
    await dead.hold()
    assert told(await worker.post(**CALL)) == (409, "idempotency_in_progress")
    clock.shift_to(timedelta(seconds=900))
    answer = await worker.post(**CALL)
    assert (answer.status_code, answer.headers.get(REPLAYED)) == (200, None)
    assert (await worker.post(**CALL)).headers[REPLAYED] == "true"
    assert await figures(person) == (8, 0, 2)


async def test_who_was_too_slow_does_not_answer_for_who_took_over(
    worker: httpx.AsyncClient, workshop: Workshop, person: Person, clock: MovableClock
) -> None:
    slow = asyncio.create_task(worker.post(**CALL))
    await workshop.began.wait()
    workshop.began.clear()
    slow_goes_on, workshop.go_on = workshop.go_on, asyncio.Event()
    clock.shift_to(timedelta(seconds=901))
    other = asyncio.create_task(worker.post(**CALL))
    await workshop.began.wait()
    slow_goes_on.set()
    assert told(await slow) == (409, "hold_expired")
    workshop.go_on.set()
    assert (await other).status_code == 200
    again = await worker.post(**CALL)
    assert (again.status_code, again.headers[REPLAYED]) == (200, "true")
    assert await figures(person) == (8, 0, 2)


async def test_an_answer_is_kept_after_it_was_paid_and_not_before(
    worker: httpx.AsyncClient, workshop: Workshop, person: Person, platform: Platform, clock: MovableClock
) -> None:
    """Work that took longer than its hold lived cannot be paid: its answer is neither given nor kept."""
    request = asyncio.create_task(worker.post(**CALL))
    await workshop.began.wait()
    clock.shift_to(timedelta(seconds=901))
    workshop.go_on.set()
    assert told(await request) == (409, "hold_expired")
    again = await worker.post(**CALL)
    assert (told(again), again.headers[REPLAYED]) == ((409, "hold_expired"), "true")
    assert [log["error_code"] for log in await logs(platform, person)] == ["hold_expired"]
    assert await figures(person) == (10, 0, 0)


async def test_of_many_with_one_key_one_is_charged(person: Person, platform: Platform) -> None:
    answers = await asyncio.gather(*[post(person, "example/use-credits", "k") for _ in range(8)])
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.content for answer in answers}) == 1
    assert [answer.headers.get(REPLAYED) for answer in answers].count(None) == 1
    assert await figures(person) == (7, 0, 3)
    assert [log["success"] for log in await logs(platform, person)] == [True]


async def test_without_a_key_every_call_is_charged(person: Person) -> None:
    for _ in range(2):
        assert (await person.client.post("/api/example/use-credits", json={})).status_code == 200
    assert await figures(person) == (4, 0, 6)


# --- what goes wrong --------------------------------------------------------------------------------------------


async def test_the_dependency_pays_before_the_answer_leaves(
    worker: httpx.AsyncClient, workshop: Workshop, person: Person, platform: Platform
) -> None:
    request = asyncio.create_task(worker.post("/api/test/work", json={"name": SECRET}))
    await workshop.began.wait()
    assert await figures(person) == (8, 2, 0), "held while the work goes on"
    workshop.go_on.set()
    assert (await request).json() == {"done": True}
    assert await figures(person) == (8, 0, 2)
    [log] = await logs(platform, person)
    assert (log["model"], log["tokens_in"], log["tokens_out"]) == ("m", 7, 5)
    assert log["operation"] == "testWork"
    assert SECRET not in json.dumps(log, default=str)


async def test_work_that_breaks_costs_nothing(
    workshop_app: FastAPI, workshop: Workshop, person: Person, platform: Platform
) -> None:
    workshop.go_on.set()
    workshop.error = RuntimeError(SECRET)
    headers = {"Authorization": person.client.headers["Authorization"]}
    async with client_of(workshop_app, headers=headers) as client:
        answer = await client.post("/api/test/work", json={"name": "x"})
    assert told(answer) == (500, "internal_error")
    [log] = await logs(platform, person)
    assert (log["success"], log["error_code"]) == (False, "internal_error")
    assert SECRET not in json.dumps(log, default=str)
    assert await figures(person) == (10, 0, 0)


async def test_a_cancelled_request_gives_back(
    worker: httpx.AsyncClient, workshop: Workshop, person: Person, platform: Platform
) -> None:
    request = asyncio.create_task(worker.post("/api/test/work", json={"name": "x"}))
    await workshop.began.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert await figures(person) == (10, 0, 0)
    [log] = await logs(platform, person)
    assert (log["success"], log["error_code"]) == (False, "cancelled")


async def test_a_request_cancelled_while_it_is_held_gives_back(
    worker: httpx.AsyncClient, workshop: Workshop, person: Person, platform: Platform
) -> None:
    async with platform.database.transaction() as session:
        await session.execute(text("SELECT 1 FROM credit_accounts WHERE id = :id FOR UPDATE"), {"id": person.id})
        request = asyncio.create_task(worker.post("/api/test/work", json={"name": "x"}))
        await somebody_waits_for_a_lock(platform)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    async def logged() -> bool:
        return bool(await logs(platform, person))

    await until(logged)
    assert not workshop.began.is_set()
    [hold] = (await person.client.get("/api/credits/holds")).json()["holds"]
    assert hold["status"] == "RELEASED"
    assert await figures(person) == (10, 0, 0)


@pytest.mark.parametrize("path", ["/api/test/work", "/api/test/stream"])
async def test_a_client_that_goes_away_is_not_charged(
    server: str, workshop: Workshop, person: Person, platform: Platform, path: str
) -> None:
    headers = {"Authorization": person.client.headers["Authorization"]}
    async with httpx.AsyncClient(base_url=server, headers=headers, trust_env=False, verify=False) as client:
        request = asyncio.create_task(client.post(path, json={"name": "x"}))
        await workshop.began.wait()
        assert await figures(person) == (8, 2, 0)
        request.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await request

    async def logged() -> bool:
        return bool(await logs(platform, person))

    await until(logged)
    [log] = await logs(platform, person)
    assert (log["success"], log["error_code"], log["credits"]) == (False, "cancelled", 0)
    assert await figures(person) == (10, 0, 0)
    assert not workshop.go_on.is_set()


async def test_a_hold_that_ran_out_before_the_work_was_done(
    worker: httpx.AsyncClient, workshop: Workshop, person: Person, platform: Platform, clock: MovableClock
) -> None:
    request = asyncio.create_task(worker.post("/api/test/work", json={"name": "x"}))
    await workshop.began.wait()
    clock.shift_to(timedelta(seconds=901))
    workshop.go_on.set()
    assert told(await request) == (409, "hold_expired")
    [log] = await logs(platform, person)
    assert (log["success"], log["error_code"], log["credits"]) == (True, "hold_expired", 0)
    assert await figures(person) == (10, 0, 0)


async def test_a_process_that_dies_leaves_a_hold_that_ends_by_itself(
    person: Person, platform: Platform, clock: MovableClock
) -> None:
    work = charge(platform, scope_of(person), Service.CHAT_ASSISTANT, operation="dies", key="k")
    await work.hold()
    assert await figures(person) == (8, 2, 0)
    clock.shift_to(timedelta(seconds=900))
    assert await figures(person) == (10, 0, 0)
    async with charge(platform, scope_of(person), Service.CHAT_ASSISTANT, operation="dies", key="k") as again:
        assert again.hold_id != work.hold_id
    assert await figures(person) == (8, 0, 2)


async def test_an_account_that_is_held_up_for_a_moment_is_waited_for(person: Person, platform: Platform) -> None:
    async with charge(platform, scope_of(person), Service.CHAT_ASSISTANT, operation="waits") as work:
        async with platform.database.transaction() as session:
            await session.execute(text("SELECT 1 FROM credit_accounts WHERE id = :id FOR UPDATE"), {"id": person.id})
            paying = asyncio.create_task(work.capture())
            await somebody_waits_for_a_lock(platform)
            await until(nobody_waits(platform))  # the writer has given this command up
        receipt = await paying
    assert receipt.credits == 2
    assert await figures(person) == (8, 0, 2)


def nobody_waits(platform: Platform) -> Callable[[], Awaitable[bool]]:
    async def seen() -> bool:
        async with platform.database.reading() as session:
            return not await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    return seen


async def test_what_was_captured_is_captured_once(person: Person, platform: Platform) -> None:
    async def work_that_fails_late() -> None:
        async with charge(platform, scope_of(person), Service.CHAT_ASSISTANT, operation="twice") as work:
            first, second = await asyncio.gather(work.capture(), work.capture())
            assert first == second
            raise RuntimeError("later")

    with pytest.raises(RuntimeError, match="later"):
        await work_that_fails_late()
    assert await figures(person) == (8, 0, 2)
    assert [log["success"] for log in await logs(platform, person)] == [True]


async def test_an_expired_hold_is_told_to_whoever_captures(
    person: Person, platform: Platform, clock: MovableClock
) -> None:
    with pytest.raises(HoldExpired):
        async with charge(platform, scope_of(person), Service.CHAT_ASSISTANT, operation="late", ttl_s=10):
            clock.shift_to(timedelta(seconds=11))
    assert [log["error_code"] for log in await logs(platform, person)] == ["hold_expired"]


async def test_a_log_keeps_sizes_of_what_people_wrote(person: Person, platform: Platform) -> None:
    project = uuid4()
    async with charge(platform, scope_of(person), Service.CHAT_ASSISTANT, operation="logs") as work:
        work.report(
            prompt=SECRET,
            project=project,
            tasks=[SECRET] * 3,
            context={SECRET: SECRET},
            temperature=0.5,
            wrong=float("nan"),
            huge=1 << 80,
            apply=True,
            service=Service.CHAT_ASSISTANT,
            raw=SECRET.encode(),
            thing=object(),
        )
        wrongs: tuple[dict[str, Any], ...] = ({"tokens_in": -1}, {"units": 2}, {"units": -1})
        for wrong in wrongs:
            with pytest.raises(ValueError, match="cannot report"):
                work.report(**wrong)
    [log] = await logs(platform, person)
    assert log["request_data"] == {
        "quantity": 1,
        "prompt": {"length": len(SECRET)},
        "project": str(project),
        "tasks": {"items": 3},
        "context": {"items": 1},
        "temperature": 0.5,
        "wrong": None,
        "huge": None,
        "apply": True,
        "service": "CHAT_ASSISTANT",
        "raw": {"length": len(SECRET)},
        "thing": {"type": "object"},
    }


def scope_of(person: Person) -> UserScope:
    return UserScope(Actor(ActorKind.USER, person.id), person.id)


# --- streams ----------------------------------------------------------------------------------------------------


def events(body: str) -> list[tuple[str, Json]]:
    found = []
    for block in body.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((fields["event"], json.loads(fields["data"])))
    return found


async def test_a_stream_pays_at_its_end(person: Person, platform: Platform) -> None:
    answer = await post(person, "example/stream-credits", text="one two")
    assert answer.headers["content-type"].startswith("text/event-stream")
    [*words, (last, usage)] = events(answer.text)
    assert words == [("word", {"word": "one"}), ("word", {"word": "two"})]
    assert (last, usage["creditsUsed"], usage["balance"]["current"]) == ("usage", 2, 8)
    [log] = await logs(platform, person)
    assert (log["operation"], log["success"], log["tokens_out"]) == ("streamCredits", True, 2)
    assert await figures(person) == (8, 0, 2)


async def test_a_stream_that_fails_says_so_and_costs_nothing(person: Person, platform: Platform) -> None:
    answer = await post(person, "example/stream-credits", text="one", fail=True)
    [_, (last, problem)] = events(answer.text)
    assert (last, problem["code"], problem["status"]) == ("error", "work_failed", 422)
    assert [log["error_code"] for log in await logs(platform, person)] == ["work_failed"]
    assert await figures(person) == (10, 0, 0)


async def test_a_stream_that_never_came_to_its_work_costs_nothing(
    worker: httpx.AsyncClient, person: Person, platform: Platform
) -> None:
    """As when its reader is too slow, or has gone before the first word."""
    answer = await worker.post("/api/test/idle", json={"name": "x"})
    assert events(answer.text) == [("nothing", {"name": "x"})]
    assert await figures(person) == (10, 0, 0)
    assert [(log["success"], log["error_code"]) for log in await logs(platform, person)] == [(False, "cancelled")]


async def test_a_stream_that_cannot_be_paid_is_a_problem_and_no_stream(person: Person) -> None:
    await post(person, "credits/spend", amount=9)
    answer = await post(person, "example/stream-credits")
    assert told(answer) == (402, "insufficient_credits")
    assert answer.headers["content-type"] == "application/problem+json"


# --- the document -----------------------------------------------------------------------------------------------


def test_the_document_says_what_costs_credits(app: FastAPI) -> None:
    marked = {
        operation["operationId"]: operation["x-credits"]
        for methods in app.openapi()["paths"].values()
        for operation in methods.values()
        if "x-credits" in operation
    }
    assert marked["useCredits"] == {"service": "TASK_GENERATION"}
    assert marked["streamCredits"] == {"service": "CHAT_ASSISTANT"}
    assert all(Service(one["service"]) for one in marked.values())
