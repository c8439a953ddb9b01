"""Who sees whose lines of a pool: one rule for the history, its file, explanations, proofs and statements."""

import csv
import io
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import event, text

from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import sight
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.ai_credits import pooling
from tests.support.settings import ADMIN_KEY

OPERATOR: Final = {"x-admin-key": ADMIN_KEY}
FILL: Final = text(
    "INSERT INTO credit_entries (account_id, seq, id, type, amount, balance_after, actor_kind, actor_user_id,"
    " description, metadata, command_key, request_id, created_at, hash)"
    " SELECT :account, 1000 + n, gen_random_uuid(), 'USAGE', -1, 0, 'user', :user, '', '{}', n::text, '', now(), ''"
    " FROM generate_series(1, 100000) n"
)
"""Somebody else's spends, undone with the session."""
SECRET: Final = "What somebody else asked for"


@dataclass
class Pool:
    """A pool in which everybody of some rank did something, the system brought credits, and a spend came back."""

    id: str
    people: dict[str, Person]
    entries: dict[str, str]
    granted: str = ""

    async def get(self, who: str, path: str, **query: Any) -> httpx.Response:
        return await self.people[who].client.get(f"/api/credits/{path}", params={"workspaceId": self.id, **query})

    async def history(self, who: str, **query: Any) -> list[dict[str, Any]]:
        answer = await self.get(who, "history", **query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["entries"]
        return found


async def change_role(owner: Person, pool_id: str, person: Person) -> None:
    """Who spent as a member, and only looks on now."""
    members = (await owner.client.get("/api/team/members", params={"workspaceId": pool_id})).json()["members"]
    [member_id] = [one["id"] for one in members if one["userId"] == str(person.id)]
    answer = await owner.client.put(f"/api/team/members/{member_id}", json={"role": "VIEWER"})
    assert answer.status_code == 200, answer.text


@pytest.fixture
async def pool(new_person: NewPerson, platform: Platform, client: httpx.AsyncClient) -> Pool:
    roles = (Role.ADMIN, Role.MEMBER, Role.MEMBER, Role.MEMBER)
    pool_id, owner, members = await pooling.team(new_person, platform, *roles)
    names = ("OWNER", "ADMIN", "MEMBER", "VIEWER", "OTHER")
    made = Pool(pool_id, dict(zip(names, (owner, *members), strict=True)), {})
    for name, person in made.people.items():
        done = await pooling.spent(person, pool_id, amount=3, description=SECRET if name == "OTHER" else name)
        made.entries[name] = done["entry"]["id"]
    await change_role(owner, pool_id, made.people["VIEWER"])
    [first] = [row for row in await made.history("OWNER") if row["seq"] == 1]
    made.entries["grant"], made.granted = first["id"], first["description"]
    for name in ("OTHER", "MEMBER"):
        wanted = {"entryId": made.entries[name], "reason": f"{name} got nothing", "idempotencyKey": uuid4().hex}
        back = await client.post("/api/credits/refund", headers=OPERATOR, json=wanted)
        assert back.status_code == 200, back.text
        made.entries[f"{name}.back"] = back.json()["entry"]["id"]
    return made


def told(rows: list[dict[str, Any]]) -> set[str]:
    """Whose doings, or what else."""
    return {row["description"] for row in rows}


EVERYTHING: Final = {"OWNER", "ADMIN", "MEMBER", "VIEWER", SECRET, "OTHER got nothing", "MEMBER got nothing"}
OWN: Final = {"MEMBER": {"MEMBER", "MEMBER got nothing"}, "VIEWER": {"VIEWER"}}


@pytest.mark.parametrize("who", ["OWNER", "ADMIN", "MEMBER", "VIEWER"])
async def test_a_member_reads_their_own_lines_and_the_systems(pool: Pool, who: str) -> None:
    rows = await pool.history(who)
    wanted = OWN.get(who, EVERYTHING)
    assert told(rows) - wanted == {pool.granted}, "the grant is nobody's, so everybody sees it"
    assert told(rows) >= wanted
    exported = await pool.get(who, "history/export", format="csv")
    lines = list(csv.DictReader(io.StringIO(exported.text)))
    assert [line["id"] for line in lines] == [row["id"] for row in rows]
    as_json = await pool.get(who, "history/export", format="json")
    assert [line["id"] for line in as_json.json()["entries"]] == [row["id"] for row in rows]
    assert (SECRET in exported.text) == (SECRET in as_json.text) == (who not in OWN)


@pytest.mark.parametrize("who", sorted(OWN))
async def test_pages_go_on_over_what_is_out_of_sight(pool: Pool, who: str) -> None:
    whole = await pool.history(who)
    paged: list[Any] = []
    query: dict[str, Any] = {}
    while True:
        answer = (await pool.get(who, "history", limit=1, **query)).json()
        paged += answer["entries"]
        if answer["nextCursor"] is None:
            break
        query = {"cursor": answer["nextCursor"]}
    assert paged == whole


@pytest.mark.parametrize("who", sorted(OWN))
async def test_another_members_lines_cannot_be_asked_for(pool: Pool, who: str) -> None:
    other, own = pool.people["OTHER"].id, pool.people[who].id
    for path, query in (("history", {}), ("history/export", {"format": "csv"}), ("analytics", {})):
        refused = await pool.get(who, path, memberId=str(other), **query)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), path
        assert (await pool.get(who, path, memberId=str(own), **query)).status_code == 200, path
        assert (await pool.get("ADMIN", path, memberId=str(other), **query)).status_code == 200, path
    assert told(await pool.history(who, memberId=str(own))) == {who}


async def explained(pool: Pool, who: str, name: str) -> int:
    path = f"/api/credits/entries/{pool.entries[name]}/explain"
    answer = await pool.people[who].client.get(path)
    assert answer.status_code == 200 or answer.json()["code"] == "entry_not_found"
    return answer.status_code


@pytest.mark.parametrize("who", sorted(OWN))
async def test_only_what_is_in_sight_is_explained(pool: Pool, who: str) -> None:
    assert await explained(pool, who, who) == 200
    assert await explained(pool, who, "grant") == 200
    for hidden in ("OTHER", "OTHER.back", "OWNER"):
        assert await explained(pool, who, hidden) == 404
        assert await explained(pool, "ADMIN", hidden) == 200
    assert await explained(pool, who, "MEMBER.back") == (200 if who == "MEMBER" else 404)


@pytest.mark.parametrize("who", sorted(OWN))
async def test_proofs_and_statements_of_a_pool_are_for_who_manages_it(
    pool: Pool, who: str, platform: Platform
) -> None:
    month = f"{platform.clock.now():%Y-%m}"
    for path in ("verify", f"statements/{month}"):
        assert (await pool.get(who, path)).status_code == 403
        assert (await pool.get("ADMIN", path)).status_code == 200
        own = await pool.people[who].client.get(f"/api/credits/{path}")
        assert own.status_code == 200, "one's own wallet is one's own"


async def test_balance_lots_and_totals_are_everybodys(pool: Pool) -> None:
    answers = {who: (await pool.get(who, "balance")).json() for who in pool.people}
    assert len({str(one) for one in answers.values()}) == 1
    assert answers["VIEWER"]["balance"]["lots"]
    totals = [(await pool.get(who, "analytics")).json()["analytics"]["totals"] for who in ("VIEWER", "OWNER")]
    assert totals[0] == totals[1] == {"gross": 15, "refunded": 6, "net": 9, "entries": 5}


async def test_a_member_with_a_line_of_long_ago_costs_one_walk_of_the_index(pool: Pool, platform: Platform) -> None:
    """The book is walked by its key from its end: nothing is sorted, no other book is looked at."""
    account_id, user_id = UUID(pool.id), pool.people["VIEWER"].id
    scope = WorkspaceScope(Actor(ActorKind.USER, user_id), account_id, user_id, Role.VIEWER)
    found: list[str] = []
    async with platform.database.reading() as session:
        await session.execute(FILL, {"account": account_id, "user": pool.people["OTHER"].id})
        await session.execute(text("ANALYZE credit_entries"))

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            found.append(statement)
            values.append(parameters)

        values: list[Any] = []
        engine = platform.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            rows = await repository.entries(
                session, scope, limit=51, before_seq=None, filters=sight.visible_lines(scope)
            )
        finally:
            event.remove(engine, "before_cursor_execute", note)
        connection = await session.connection()
        plan = "\n".join(row[0] for row in await connection.exec_driver_sql(f"EXPLAIN {found[0]}", tuple(values[0])))
    assert {row.actor_user_id for row in rows} == {None, user_id}
    assert "Index Scan Backward using pk_credit_entries" in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
