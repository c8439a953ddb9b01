"""`/verify`: a book of every kind of command proves, and nothing in it can be changed behind the ledger's back."""

from collections.abc import AsyncIterator
from typing import Final
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import verification
from pm_api.domains.ai_credits.book import By
from pm_api.domains.ai_credits.commands import Reverse
from pm_api.domains.ai_credits.enums import EntryType, LotKind
from pm_api.domains.ai_credits.ledger import expire_due
from tests.conftest import NewPerson, Person
from tests.domains.ai_credits.apart import platform_apart
from tests.domains.ai_credits.story import Story, tell
from tests.domains.ai_credits.test_routes import spend

USAGE: Final = (
    "account_id = :account AND seq = (SELECT max(seq) FROM credit_entries"
    " WHERE account_id = :account AND type = 'USAGE' AND service IS NOT NULL AND hold_id IS NULL)"
)
A_LOT: Final = (
    "account_id = :account AND id = (SELECT id FROM credit_grants WHERE account_id = :account AND (%s) LIMIT 1)"
)


@pytest.fixture(scope="module")
async def platform() -> AsyncIterator[Platform]:
    """Of this module alone: what its tests leave behind is no book that a sweep could go on with."""
    async with platform_apart() as found:
        yield found


@pytest.fixture(scope="module")
def app(platform: Platform) -> FastAPI:
    return create_app(platform.settings, platform)


@pytest.fixture
async def story(new_person: NewPerson, platform: Platform) -> Story:
    person = await new_person()
    told = await tell(Story(platform, person.id))
    assert (await told.verify()).problems == []
    return told


async def caught(story: Story, statement: str, **values: object) -> list[str]:
    """What `/verify` says after the statement, which must have met something."""
    assert await story.sql(statement, **values) > 0
    found = await story.verify()
    assert not found.ok
    assert found.problems
    return found.problems


async def test_a_life_of_every_command_proves(story: Story) -> None:
    types = set(await story.column("SELECT DISTINCT type FROM credit_entries WHERE account_id = :account"))
    moves = set(EntryType) - {EntryType(kind) for kind in LotKind}
    kinds = {"FREE_TIER", "SUBSCRIPTION_GRANT", "PURCHASE", "BONUS", "GIFT", "LEAD", "REFUND", "ROLLOVER"}
    assert types >= moves | kinds | {"ADMIN_ADJUSTMENT"}
    statuses = set(await story.column("SELECT DISTINCT status FROM credit_holds WHERE account_id = :account"))
    assert statuses == {"OPEN", "CAPTURED", "RELEASED", "EXPIRED"}
    [refunded] = await story.column("SELECT sum(refunded) FROM credit_usage_days WHERE account_id = :account")
    assert refunded == 7 + 4 + 3
    found = await story.verify()
    identity = found.identity
    assert (found.ok, identity.held) == (True, 9)
    assert identity.voided > 0
    assert identity.transferred_out == 11
    assert identity.granted == sum(value for name, value in identity.model_dump().items() if name != "granted")


async def test_holds_and_lots_that_are_due_but_not_swept_prove_and_are_told_as_they_are(story: Story) -> None:
    before = (await story.verify()).identity
    story.advance(hours=3)
    due = await story.verify()
    assert (due.ok, due.identity.held) == (True, 0)
    assert due.identity.available == before.available + 9
    story.advance(days=40)
    late = await story.verify()
    assert (late.ok, late.identity.available < due.identity.available) == (True, True)
    assert late.identity.expired > due.identity.expired
    async with story.platform.database.transaction() as session:
        await expire_due(session, story.platform, [story.account_id])
    swept = await story.verify()
    assert (swept.ok, swept.identity) == (True, late.identity)
    assert swept.entries > late.entries


async def test_a_book_of_several_stretches_is_read_to_its_end(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a line undoes may lie in a stretch long read."""
    whole = await story.verify()
    for length in (1, 2, 7):
        monkeypatch.setattr(verification, "STRETCH", length)
        assert await story.verify() == whole


ENTRY_COLUMNS: Final = {
    "account_id": "account_id = :other",
    "seq": "seq = seq + 1000000",
    "id": "id = :other",
    "type": "type = 'EXPIRY'",
    "amount": "amount = amount - 1",
    "balance_after": "balance_after = balance_after + 1",
    "actor_kind": "actor_kind = 'system'",
    "actor_user_id": "actor_user_id = :other",
    "actor_key_id": "actor_key_id = :other",
    "request_id": "request_id = 'another'",
    "service": "service = 'TASK_GENERATION'",
    "quantity": "quantity = quantity + 1",
    "price_version": "price_version = 2",
    "description": "description = description || ' '",
    "metadata": """metadata = '{"step": 99}'""",
    "command_key": "command_key = 's:other'",
    "reverses_seq": "reverses_seq = 1",
    "hold_id": "hold_id = :other",
    "debt_after": "debt_after = debt_after + 1",
    "created_at": "created_at = created_at + interval '1 microsecond'",
    "hash": "hash = decode(repeat('00', 32), 'hex')",
}


@pytest.mark.parametrize("column", ENTRY_COLUMNS)
async def test_an_altered_line_is_caught(story: Story, column: str) -> None:
    change = ENTRY_COLUMNS[column]
    values = {"other": uuid4()} if ":other" in change else {}
    await caught(story, f"UPDATE credit_entries SET {change} WHERE {USAGE}", **values)


async def test_every_column_of_a_line_is_covered(story: Story) -> None:
    columns = await story.column(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'credit_entries'"
    )
    assert set(columns) == set(ENTRY_COLUMNS)


@pytest.mark.parametrize(
    "place", ["= 1", "= 9", "= (SELECT max(seq) FROM credit_entries WHERE account_id = :account)"]
)
async def test_a_removed_line_is_caught(story: Story, place: str) -> None:
    await caught(story, f"DELETE FROM credit_entries WHERE account_id = :account AND seq {place}")


async def test_two_swapped_lines_are_caught(story: Story) -> None:
    first, second = story.seqs["chat"], story.seqs["plain"]
    await story.sql("UPDATE credit_entries SET seq = -1 WHERE account_id = :account AND seq = :a", a=first)
    await story.sql("UPDATE credit_entries SET seq = :a WHERE account_id = :account AND seq = :b", a=first, b=second)
    await caught(story, "UPDATE credit_entries SET seq = :b WHERE account_id = :account AND seq = -1", b=second)


LOT_COLUMNS: Final = {
    "id": "id = gen_random_uuid()",
    "kind": "kind = 'REFERRAL'",
    "priority": "priority = priority + 1",
    "amount": "amount = amount + 1, remaining = remaining + 1",
    "remaining": "remaining = remaining - 1, spent = spent + 1",
    "held": "held = held + 1",
    "spent": "spent = spent + 1, expired = expired - 1",
    "expired": "expired = expired + 1, voided = voided - 1",
    "voided": "voided = voided + 1, transferred_out = transferred_out - 1",
    "transferred_out": "transferred_out = transferred_out + 1, spent = spent - 1",
    "clawed_back": "clawed_back = clawed_back + 1",
    "clawed_as_debt": "clawed_as_debt = clawed_as_debt + 1",
    "clawed_elsewhere": "clawed_elsewhere = clawed_elsewhere - 1, clawed_back = clawed_back - 1",
    "service": "service = 'TASK_GENERATION'",
    "cost_minor": "cost_minor = 1",
    "cost_currency": "cost_currency = 'EUR'",
    "source_type": "source_type = 'elsewhere'",
    "source_ref": "source_ref = 'elsewhere'",
    "effective_at": "effective_at = effective_at + interval '1 second'",
    "expires_at": "expires_at = '2999-01-01'",
    "created_at": "created_at = created_at + interval '1 second'",
}


@pytest.mark.parametrize("column", LOT_COLUMNS)
async def test_an_edited_lot_is_caught(story: Story, column: str) -> None:
    where = A_LOT % "remaining > held AND kind = 'ADMIN_ADJUSTMENT'"
    await caught(story, f"UPDATE credit_grants SET {LOT_COLUMNS[column]} WHERE {where}")


async def test_every_column_of_a_lot_is_covered(story: Story, new_person: NewPerson) -> None:
    columns = await story.column(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'credit_grants'"
    )
    assert set(columns) == {*LOT_COLUMNS, "account_id"}
    other = await new_person()
    where = A_LOT % "held = 0 AND kind = 'GIFT'"
    await caught(story, f"UPDATE credit_grants SET account_id = :other WHERE {where}", other=other.id)


ALLOCATIONS: Final = {
    "missing": "DELETE FROM credit_allocations WHERE account_id = :account AND entry_seq = :seq",
    "altered": "UPDATE credit_allocations SET amount = amount - 1 WHERE account_id = :account AND entry_seq = :seq",
    "of another lot": "UPDATE credit_allocations SET grant_id = gen_random_uuid()"
    " WHERE account_id = :account AND entry_seq = :seq",
    "of another line": "UPDATE credit_allocations SET entry_seq = 1000000"
    " WHERE account_id = :account AND entry_seq = :seq",
    "added": "INSERT INTO credit_allocations SELECT account_id, :seq, id, -1 FROM credit_grants"
    " WHERE account_id = :account AND id NOT IN"
    " (SELECT grant_id FROM credit_allocations WHERE account_id = :account AND entry_seq = :seq)",
    "of no line": "INSERT INTO credit_allocations SELECT account_id, 1000000, id, 0 FROM credit_grants"
    " WHERE account_id = :account LIMIT 1",
}


@pytest.mark.parametrize("how", ALLOCATIONS)
async def test_a_tampered_allocation_is_caught(story: Story, how: str) -> None:
    statement = ALLOCATIONS[how]
    values = {"seq": story.seqs["chat"]} if ":seq" in statement else {}
    await caught(story, statement, **values)


OF_OPEN: Final = (
    "account_id = :account AND hold_id = (SELECT id FROM credit_holds"
    " WHERE account_id = :account AND status = 'OPEN')"
)
HOLDS: Final = {
    "a part": f"UPDATE credit_hold_lots SET amount = amount - 1 WHERE {OF_OPEN}",
    "no parts": f"DELETE FROM credit_hold_lots WHERE {OF_OPEN}",
    "another lot": "UPDATE credit_hold_lots SET grant_id = (SELECT id FROM credit_grants WHERE account_id = :account"
    f" AND held = 0 LIMIT 1) WHERE {OF_OPEN}",
    "amount": "UPDATE credit_holds SET amount = amount + 1 WHERE account_id = :account AND status = 'OPEN'",
    "captured": "UPDATE credit_holds SET captured = captured + 1 WHERE account_id = :account AND status = 'RELEASED'",
    "status": "UPDATE credit_holds SET status = 'RELEASED' WHERE account_id = :account AND status = 'OPEN'",
    "opened again": "UPDATE credit_holds SET status = 'OPEN' WHERE account_id = :account AND status = 'EXPIRED'",
}


@pytest.mark.parametrize("how", HOLDS)
async def test_a_tampered_hold_is_caught(story: Story, how: str) -> None:
    await caught(story, HOLDS[how])


async def test_a_part_moved_between_two_holds_is_caught(story: Story) -> None:
    """The lot's sum stays the same; each hold's does not."""
    await story.hold(1)
    parts = await story.column(
        "SELECT hold_id FROM credit_hold_lots WHERE account_id = :account ORDER BY amount DESC, hold_id"
    )
    await story.sql(
        "UPDATE credit_hold_lots SET amount = amount - 1"
        " WHERE account_id = :account AND hold_id = :hold AND grant_id = (SELECT grant_id FROM credit_hold_lots"
        " WHERE account_id = :account AND hold_id = :hold AND amount > 1 LIMIT 1)",
        hold=parts[0],
    )
    await caught(
        story,
        "UPDATE credit_hold_lots SET amount = amount + 1 WHERE account_id = :account AND hold_id = :hold",
        hold=parts[-1],
    )


@pytest.mark.parametrize("column", ["credits", "entries", "refunded"])
async def test_an_edited_day_sum_is_caught(story: Story, column: str) -> None:
    problems = await caught(
        story,
        f"UPDATE credit_usage_days SET {column} = {column} + 1 WHERE account_id = :account AND day ="
        " (SELECT min(day) FROM credit_usage_days WHERE account_id = :account) AND service = 'CHAT_ASSISTANT'",
    )
    assert len(problems) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM credit_usage_days WHERE account_id = :account AND service = 'CHAT_ASSISTANT'",
        "UPDATE credit_usage_days SET day = day - 1 WHERE account_id = :account",
        "UPDATE credit_usage_days SET actor_user_id = gen_random_uuid() WHERE account_id = :account",
        "UPDATE credit_usage_days SET service = 'X' WHERE account_id = :account AND service = 'CHAT_ASSISTANT'",
        (
            "INSERT INTO credit_usage_days SELECT account_id, '2001-01-01', service, actor_user_id, 1, 1, 0"
            " FROM credit_usage_days WHERE account_id = :account LIMIT 1"
        ),
    ],
)
async def test_a_tampered_day_is_caught(story: Story, statement: str) -> None:
    await caught(story, statement)


@pytest.mark.parametrize(
    "column",
    ["seq", "balance", "held", "debt", "granted", "spent", "expired", "voided", "transferred_out", "open_holds"],
)
async def test_an_edited_figure_of_the_account_is_caught(story: Story, column: str) -> None:
    problems = await caught(story, f"UPDATE credit_accounts SET {column} = {column} + 1 WHERE id = :account")
    assert column.replace("_", " ") in " ".join(problems).replace("_", " ")


async def test_an_edited_head_is_caught(story: Story) -> None:
    await caught(story, "UPDATE credit_accounts SET last_hash = decode('00', 'hex') WHERE id = :account")


async def test_a_forger_who_writes_the_hashes_anew_is_still_caught(story: Story) -> None:
    """Whoever can recompute the chain gives back more than a line took, or makes a debt of nothing."""
    from_line = story.seqs["late"]
    rows = await story.column(
        "SELECT seq FROM credit_entries WHERE account_id = :account AND reverses_seq = :seq", seq=story.seqs["plain"]
    )
    await story.sql(
        "UPDATE credit_entries SET reverses_seq = :seq WHERE account_id = :account AND seq = :row",
        seq=from_line,
        row=rows[0],
    )
    problems = (await story.verify()).problems
    assert any(f"more was given back of line {from_line}" in one for one in problems)


async def test_who_spent_is_part_of_the_day(story: Story) -> None:
    """A spend by somebody else is a sum of its own, and so is its refund, whoever gives it and however late."""
    stranger = uuid4()
    seq = await story.spend(2, by=By("user", stranger, "r"))
    story.advance(days=3)
    await story.do(Reverse, entry_seq=seq, amount=1, description="by the account's own person")
    figures = "SELECT credits || '/' || refunded FROM credit_usage_days WHERE actor_user_id = :who"
    assert await story.column(figures + " AND account_id = :account", who=stranger) == ["2/1"]
    assert (await story.verify()).problems == []


# --- over HTTP --------------------------------------------------------------------------------------------------

TAMPERINGS: Final = {
    "an amount": "UPDATE credit_entries SET amount = amount - 1 WHERE account_id = :account AND seq = 2",
    "a description": "UPDATE credit_entries SET description = 'x' WHERE account_id = :account AND seq = 2",
    "metadata": "UPDATE credit_entries SET metadata = '{}' WHERE account_id = :account AND seq = 2",
    "a line removed": "DELETE FROM credit_entries WHERE account_id = :account AND seq = 2",
    "the last line removed": "DELETE FROM credit_entries WHERE account_id = :account AND seq = 3",
    "a lot": "UPDATE credit_grants SET remaining = remaining + 1, amount = amount + 1 WHERE account_id = :account",
    "an allocation removed": "DELETE FROM credit_allocations WHERE account_id = :account AND entry_seq = 2",
    "an allocation altered": (
        "UPDATE credit_allocations SET amount = -1 WHERE account_id = :account AND entry_seq = 2"
    ),
    "a stray allocation": (
        "INSERT INTO credit_allocations SELECT account_id, 99, grant_id, 0 FROM credit_allocations"
        " WHERE account_id = :account AND entry_seq = 1"
    ),
    "a lot made to last": "UPDATE credit_grants SET expires_at = NULL WHERE account_id = :account",
    "a lot made another kind": "UPDATE credit_grants SET kind = 'PURCHASE' WHERE account_id = :account",
    "a lot's price": "UPDATE credit_grants SET cost_minor = 1 WHERE account_id = :account",
    "a day sum": "UPDATE credit_usage_days SET credits = credits + 1 WHERE account_id = :account",
    "a day sum removed": "DELETE FROM credit_usage_days WHERE account_id = :account",
    "the balance": "UPDATE credit_accounts SET balance = balance + 1 WHERE id = :account",
    "two lines swapped": (
        "UPDATE credit_entries SET seq = CASE seq WHEN 2 THEN -3 ELSE -2 END WHERE account_id = :account AND seq > 1;"
        "UPDATE credit_entries SET seq = -seq WHERE account_id = :account AND seq < 0"
    ),
}


@pytest.mark.parametrize("tampering", TAMPERINGS.values(), ids=TAMPERINGS.keys())
async def test_the_owner_is_told_of_tampering(person: Person, platform: Platform, tampering: str) -> None:
    await spend(person, amount=2, metadata={"a": 1})
    await spend(person, amount=3)
    good = (await person.client.get("/api/credits/verify")).json()["verification"]
    assert (good["ok"], good["entries"], good["balance"], good["problems"]) == (True, 3, 5, [])
    async with platform.database.transaction() as session:
        for statement in tampering.split(";"):
            await session.execute(text(statement), {"account": person.id})
    bad = (await person.client.get("/api/credits/verify")).json()["verification"]
    assert bad["ok"] is False
    assert bad["problems"]
