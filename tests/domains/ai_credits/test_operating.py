"""With the admin key alone every credit can be explained: any balance, book, proof and line, and it is on record."""

from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import CreditScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.models.ledger import CreditAccount
from pm_api.domains.ai_credits.repository import ledger as repository
from tests.conftest import NewPerson, Person
from tests.domains.ai_credits import pooling
from tests.domains.ai_credits.story import Story
from tests.domains.ai_credits.test_leads import new_lead
from tests.domains.ai_credits.test_leads import spend as spend_as_lead
from tests.support.settings import ADMIN_KEY

OPERATOR: Final = {"x-admin-key": ADMIN_KEY}
ROOT: Final = "/api/admin/credits"


async def read(client: httpx.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    answer = await client.get(f"{ROOT}/{path}", headers=OPERATOR, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def correct(client: httpx.AsyncClient, what: str, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {**OPERATOR, "Idempotency-Key": key or uuid4().hex}
    return await client.post(f"/api/credits/{what}", headers=headers, json={"reason": "a test", **body})


async def test_every_line_of_a_pool_is_found_and_explained_with_the_key_alone(
    client: httpx.AsyncClient, new_person: NewPerson, platform: Platform
) -> None:
    pool, owner, _ = await pooling.team(new_person, platform)
    for amount in (3, 5):
        await pooling.spent(owner, pool, amount=amount)
    path = f"accounts/{pool}"
    shown = (await read(client, path))["balance"]
    assert shown == (await owner.client.get("/api/credits/balance", params={"workspaceId": pool})).json()["balance"]
    assert (shown["accountKind"], shown["current"]) == ("WORKSPACE", 992)
    first = await read(client, f"{path}/history", limit=2)
    rest = await read(client, f"{path}/history", limit=2, cursor=first["nextCursor"])
    rows = [*first["entries"], *rest["entries"]]
    assert [row["amount"] for row in rows] == [-5, -3, 1000]
    assert rest["nextCursor"] is None
    only = await read(client, f"{path}/history", type="USAGE", memberId=str(owner.id))
    assert only["entries"] == rows[:2]
    for row in rows:
        told = (await read(client, f"entries/{row['id']}/explain"))["explanation"]
        assert told["entry"] == row
        assert sum(lot["amount"] for lot in told["lots"]) == row["amount"]
    assert told["actor"]["name"] == "An operator"
    proof = (await read(client, f"{path}/verify"))["verification"]
    assert (proof["ok"], proof["entries"], proof["accountId"]) == (True, 3, pool)


async def test_a_balance_is_read_in_one_moment_whatever_is_spent_meanwhile(
    client: httpx.AsyncClient, person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    story, account = Story(platform, person.id), repository.account

    async def account_before_a_spend(session: AsyncSession, scope: CreditScope) -> CreditAccount | None:
        found = await account(session, scope)
        await story.spend(3)
        return found

    monkeypatch.setattr(repository, "account", account_before_a_spend)
    identity = (await read(client, f"accounts/{person.id}"))["balance"]["identity"]
    assert identity["granted"] == sum(value for name, value in identity.items() if name != "granted")
    assert (identity["available"], identity["spent"]) == (10, 0)


async def test_wallets_and_leads_are_read_too(client: httpx.AsyncClient, person: Person) -> None:
    wallet = await read(client, f"accounts/{person.id}")
    assert (wallet["balance"]["accountKind"], wallet["balance"]["current"]) == ("USER", 10)
    lead = await new_lead(client)
    await spend_as_lead(client, lead, 4)
    path = f"accounts/{lead['lead']['id']}"
    assert (await read(client, path))["balance"]["accountKind"] == "LEAD"
    rows = (await read(client, f"{path}/history"))["entries"]
    assert [row["amount"] for row in rows] == [-4, 20]
    assert (await read(client, f"{path}/verify"))["verification"]["ok"]
    assert (await read(client, f"entries/{rows[0]['id']}/explain"))["explanation"]["actor"]["name"] == "A visitor"


async def test_who_has_no_credits_yet_has_nothing_and_who_is_not_there_is_not_found(
    client: httpx.AsyncClient, person: Person
) -> None:
    made = await person.client.post("/api/workspaces", json={"name": "Acme"})
    workspace = made.json()["workspace"]["id"]
    empty = (await read(client, f"accounts/{workspace}"))["balance"]
    assert (empty["accountKind"], empty["current"], empty["lots"]) == ("WORKSPACE", 0, [])
    assert (await read(client, f"accounts/{workspace}/verify"))["verification"]["ok"]
    for path, code in (
        (f"accounts/{uuid4()}", "credit_account_not_found"),
        (f"accounts/{uuid4()}/history", "credit_account_not_found"),
        (f"accounts/{uuid4()}/verify", "credit_account_not_found"),
        (f"entries/{uuid4()}/explain", "entry_not_found"),
    ):
        answer = await client.get(f"{ROOT}/{path}", headers=OPERATOR)
        assert (answer.status_code, answer.json()["code"]) == (404, code)


async def test_nobody_else_reads_a_strangers_book_and_every_reading_is_on_record(
    client: httpx.AsyncClient, new_person: NewPerson, platform: Platform
) -> None:
    pool, owner, _ = await pooling.team(new_person, platform)
    entry = (await pooling.spent(owner, pool, amount=3))["entry"]["id"]
    paths = (f"accounts/{pool}", f"accounts/{pool}/history", f"accounts/{pool}/verify", f"entries/{entry}/explain")
    for path in paths:
        assert (await owner.client.get(f"{ROOT}/{path}")).status_code == 403
        assert (await client.get(f"{ROOT}/{path}")).status_code == 401
    assert await record_of(platform, pool) == []
    for path in paths:
        await read(client, path)
    assert await record_of(platform, pool) == [
        ("admin_key", pool, "balance"),
        ("admin_key", pool, "history"),
        ("admin_key", pool, "proof"),
        ("admin_key", pool, "explanation"),
    ]


async def record_of(platform: Platform, workspace_id: str) -> list[tuple[Any, ...]]:
    async with platform.database.reading() as session:
        rows = await session.execute(
            text(
                "SELECT actor_kind, subject_id, details->>'read' FROM audit_entries"
                " WHERE workspace_id = :workspace AND action = 'credits.read_by_operator' ORDER BY id"
            ),
            {"workspace": UUID(workspace_id)},
        )
        return [tuple(row) for row in rows]


@pytest.mark.parametrize("what", ["grant", "adjust"])
async def test_what_an_operator_brought_can_be_taken_back_from_the_answer_alone(
    client: httpx.AsyncClient, person: Person, what: str
) -> None:
    """The retry says the same: a lost answer must not leave a lot that nobody can name."""
    key = uuid4().hex
    made = await correct(client, what, key, userId=str(person.id), amount=40)
    again = await correct(client, what, key, userId=str(person.id), amount=40)
    assert made.status_code == 200, made.text
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (made.json(), "true")
    [lot_id] = made.json()["lots"]
    voided = await correct(client, f"grants/{lot_id}/void")
    assert voided.status_code == 200, voided.text
    assert voided.json()["entry"]["amount"] == -40
    assert (await read(client, f"accounts/{person.id}"))["balance"]["current"] == 10


async def test_what_takes_makes_no_lot_and_a_spend_does_not_speak_of_any(
    client: httpx.AsyncClient, person: Person
) -> None:
    taken = await correct(client, "adjust", userId=str(person.id), amount=-4)
    assert taken.json()["lots"] == []
    spent = await person.client.post("/api/credits/spend", json={"amount": 1, "idempotencyKey": uuid4().hex})
    assert set(spent.json()) == {"entry", "balance"}
