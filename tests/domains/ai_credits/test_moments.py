"""What is seen between a moment and the sweep that writes it down."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.jobs import run_all_sweeps
from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.domains.ai_credits import ledger
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.changes.hub import Subscription
from tests.conftest import NewPerson, Person
from tests.domains.ai_credits.holding import Json, act, balance, placed, post
from tests.support.clock import MovableClock
from tests.support.settings import ADMIN_KEY

SUMS = ("remaining", "spent", "expired", "voided", "transferredOut")


async def lot(person: Person, kind: str) -> Json:
    [found] = [one for one in (await balance(person))["lots"] if one["kind"] == kind]
    assert found["amount"] == sum(found[name] for name in SUMS)
    return dict(found)


async def test_a_lot_that_ran_out_reads_the_same_before_and_after_the_sweep(
    person: Person, client: httpx.AsyncClient, platform: Platform, clock: MovableClock
) -> None:
    """34 credits of which 10 are held run out: the hold keeps its 10, the rest is expired at that moment."""
    grant = {
        "userId": str(person.id),
        "amount": 34,
        "reason": "for the test",
        "expiresAt": written(clock.now() + timedelta(minutes=5)),
        "idempotencyKey": uuid4().hex,
    }
    answer = await client.post("/api/credits/grant", headers={"x-admin-key": ADMIN_KEY}, json=grant)
    assert answer.status_code == 200, answer.text
    await post(person, "credits/spend", amount=10)  # the free credits, so that the hold rests on the granted lot
    hold = await placed(person, amount=10, ttlSeconds=3600)
    clock.advance(minutes=6)
    before = await lot(person, "ADMIN_ADJUSTMENT")
    assert (before["remaining"], before["held"], before["expired"]) == (10, 10, 24)
    await run_all_sweeps(platform)
    assert await lot(person, "ADMIN_ADJUSTMENT") == before
    captured = (await act(person, hold, "capture")).json()["entry"]
    assert (captured["amount"], captured["holdId"], captured["balanceAfter"]) == (-10, hold["id"], 0)
    [newest, *_] = (await person.client.get("/api/credits/history")).json()["entries"]
    assert newest == captured


def test_a_hold_right_after_a_spend_is_what_a_slow_stream_tells() -> None:
    """A hold changes the balance and writes no line: two balances of one `seq` wait, and the later one is true."""
    account_id = uuid4()
    stream = Subscription(user_id=account_id, credential_id=uuid4(), workspace_id=None)
    for available, seq in ((90, 5), (80, 5), (70, 4)):
        stream.note_balance(account_id, available, seq)
    assert stream.balances == {account_id: (80, 5)}


@pytest.mark.parametrize("what", ["pool", "forecast"])
async def test_what_a_hold_gave_back_is_counted_once_while_a_sweep_writes_it(
    person: Person, platform: Platform, clock: MovableClock, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await placed(person, amount=4, ttlSeconds=60)
    clock.advance(minutes=2)
    due_hold_parts = repository.due_hold_parts

    async def parts_before_a_sweep(session: AsyncSession, account_id: UUID, now: datetime) -> dict[UUID, int]:
        found = await due_hold_parts(session, account_id, now)
        async with platform.database.transaction() as sweep:
            await ledger.expire_due(sweep, platform, [account_id])
        return found

    monkeypatch.setattr(repository, "due_hold_parts", parts_before_a_sweep)
    shown = (await person.client.get(f"/api/credits/{what}")).json()[what]
    assert (shown["available"], shown["held"]) == (10, 0)


async def test_a_line_says_what_it_gives_back(person: Person, client: httpx.AsyncClient) -> None:
    spent = (await post(person, "credits/spend", amount=4)).json()["entry"]
    refund = {"entryId": spent["id"], "reason": "poor result", "idempotencyKey": uuid4().hex}
    answer = await client.post("/api/credits/refund", headers={"x-admin-key": ADMIN_KEY}, json=refund)
    entry = answer.json()["entry"]
    assert (entry["amount"], entry["reversesSeq"], entry["holdId"]) == (4, spent["seq"], None)
    [newest, *_] = (await person.client.get("/api/credits/history")).json()["entries"]
    assert newest == entry


async def test_a_refusal_writes_its_time_as_every_answer_does(new_person: NewPerson) -> None:
    owner = await new_person()
    made = await post(owner, "workspaces", name="Clocks", slug=f"clocks-{uuid4().hex[:8]}")
    pool = made.json()["workspace"]["id"]
    cap = {"amount": 0, "window": "DAY"}
    await owner.client.put(f"/api/credits/pool/caps/member:{owner.id}", params={"workspaceId": pool}, json=cap)
    problem = (await post(owner, "credits/spend", amount=1, workspaceId=pool)).json()
    assert problem["code"] == "spending_cap_reached"
    assert problem["resetsAt"].endswith("T00:00:00.000Z")
    assert problem["detail"] == f"Your limit of 0 credits per day leaves 0; it opens again at {problem['resetsAt']}."
