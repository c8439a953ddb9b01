"""The audit log: every change of membership, role and plan stands in it, and admins find it again."""

import csv
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
from sqlalchemy import text

from pm_api.core.actor import Actor, ActorKind
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import Plan, Source, Status
from pm_api.entitlements.events import EntitlementChanged
from pm_api.identity import audit
from pm_api.identity.jobs import housekeeping as jobs
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.identity.teams import audit_of, join, make_workspace
from tests.support.plans import bought

SYSTEM = Actor(ActorKind.SYSTEM)


async def listed(viewer: Person, workspace_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = await viewer.client.get(f"/api/workspaces/{workspace_id}/audit", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["entries"]
    return found


async def write(platform: Platform, workspace_id: str, action: str, **details: Any) -> None:
    async with platform.database.transaction() as session:
        audit.record(
            session,
            platform,
            SYSTEM,
            action,
            subject=("thing", "=one"),
            workspace_id=UUID(workspace_id),
            **details,
        )


# --- what is written -------------------------------------------------------------------------------------------


async def test_membership_and_roles_stand_in_it(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(name="Ann"), await new_person(name="Bob")
    workspace_id = (await make_workspace(ann))["id"]
    member_id = await join(platform, workspace_id, bob, Role.MEMBER)
    path = f"/api/team/members/{member_id}"
    assert (await ann.client.put(path, json={"role": "ADMIN"})).status_code == 200
    request_id = f"r{uuid4().hex}"
    await ann.client.delete(path, headers={"X-Request-ID": request_id})
    removed, changed, added, founder, made = await listed(ann, workspace_id)
    assert [one["action"] for one in (made, founder, added)] == ["workspace.created", "member.added", "member.added"]
    assert (changed["action"], changed["details"]["before"], changed["details"]["role"]) == (
        "member.role_changed",
        "MEMBER",
        "ADMIN",
    )
    assert (changed["actorKind"], changed["actorUserId"], changed["actorName"]) == ("user", str(ann.id), "Ann")
    assert (removed["action"], removed["subjectType"], removed["subjectId"]) == (
        "member.removed",
        "member",
        str(member_id),
    )
    assert removed["requestId"] == request_id
    assert (added["actorKind"], added["actorUserId"], added["actorName"]) == ("system", None, None)


async def test_every_change_of_plan_stands_in_it_once(platform: Platform, person: Person) -> None:
    """Also one that nobody asked for here: the portal, an unpaid bill, a contract's end."""
    workspace_id = UUID((await make_workspace(person))["id"])
    now = platform.clock.now()

    async def take(events: int) -> list[tuple[str, str]]:
        """What the worker does with the events that wait, each delivered twice."""
        async with platform.database.transaction() as session:
            rows = await session.scalars(
                text(
                    "DELETE FROM pgqueuer WHERE entrypoint = 'entitlement.changed>identity.record_plan_change'"
                    " AND convert_from(payload, 'UTF8') LIKE '%' || :id || '%' RETURNING payload"
                ),
                {"id": str(workspace_id)},
            )
            waiting = [EntitlementChanged.model_validate(orjson.loads(one)) for one in rows]
        assert len(waiting) == events
        for event in (*waiting, *waiting):
            await jobs.record_plan_change.run(JobContext(platform, "tests"), event)
        found = await audit_of(platform, str(workspace_id))
        return [(one.details["before"], one.details["plan"]) for one in found if one.action == "plan.changed"]

    async with platform.database.transaction() as session:
        first = await bought(session, platform, workspace_id, Plan.TEAM_STANDARD)
        assert await entitlements.write(session, platform, first)
    assert await take(1) == [("FREE", "TEAM_STANDARD")]
    async with platform.database.transaction() as session:
        renewed = replace(first, period_end=first.period_end + timedelta(days=30), as_of=platform.clock.wall())
        assert await entitlements.write(session, platform, renewed)
    assert await take(1) == [("FREE", "TEAM_STANDARD")], "a renewal is no change of plan"
    async with platform.database.transaction() as session:
        grace = replace(
            renewed, status=Status.GRACE, grace_ends_at=now + timedelta(days=7), as_of=platform.clock.wall()
        )
        assert await entitlements.write(session, platform, grace)
        larger = replace(renewed, plan=Plan.TEAM_PREMIUM, as_of=platform.clock.wall())
        assert await entitlements.write(session, platform, larger)
    assert (await take(2))[1:] == [("TEAM_STANDARD", "TEAM_PREMIUM")]
    async with platform.database.transaction() as session:
        assert await entitlements.end(
            session,
            platform,
            workspace_id,
            source=Source.SUBSCRIPTION,
            source_id=workspace_id,
            as_of=platform.clock.wall(),
        )
    assert (await take(1))[2:] == [("TEAM_PREMIUM", "FREE")]
    last = (await audit_of(platform, str(workspace_id)))[-1]
    assert (last.actor_kind, last.subject_type, last.subject_id) == ("system", "workspace", str(workspace_id))


# --- finding it again ------------------------------------------------------------------------------------------


async def test_it_is_walked_and_filtered(platform: Platform, new_person: NewPerson) -> None:
    ann = await new_person()
    workspace_id = (await make_workspace(ann))["id"]
    for number in range(4):
        await write(platform, workspace_id, "test.counted", number=number)
    await write(platform, workspace_id, "testing")
    await write(platform, workspace_id, "test_x")
    path = f"/api/workspaces/{workspace_id}/audit"
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        content = (await ann.client.get(path, params=query)).json()
        seen += [one["id"] for one in content["entries"]]
        cursor = content["nextCursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 8
    assert seen == sorted(seen, reverse=True)
    assert [one["details"]["number"] for one in await listed(ann, workspace_id, action="test.counted")] == [
        3,
        2,
        1,
        0,
    ]
    assert len(await listed(ann, workspace_id, action="test.")) == 4, "a dot at the end means all that begin so"
    assert await listed(ann, workspace_id, action="t_st.") == []
    assert await listed(ann, workspace_id, action="test") == []
    mine = await listed(ann, workspace_id, actorUserId=str(ann.id))
    assert {one["action"] for one in mine} == {"workspace.created", "member.added"}
    assert len(await listed(ann, workspace_id, subjectType="thing", subjectId="=one")) == 6
    oldest = (await listed(ann, workspace_id))[-1]["createdAt"]
    assert await listed(ann, workspace_id, to=oldest) == []
    assert len(await listed(ann, workspace_id, **{"from": oldest})) == 8
    first = (await ann.client.get(path, params={"limit": 3})).json()["nextCursor"]
    other = await ann.client.get(path, params={"limit": 3, "cursor": first, "action": "testing"})
    assert (other.status_code, other.json()["code"]) == (422, "invalid_cursor")


async def test_the_log_as_a_file(platform: Platform, new_person: NewPerson) -> None:
    ann = await new_person(name="=cmd()")
    workspace_id = (await make_workspace(ann))["id"]
    async with platform.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO audit_entries (id, workspace_id, actor_kind, action, subject_type, subject_id, details,"
                " request_id, created_at) SELECT gen_random_uuid(), :id, 'system', 'test.many', '@thing', '-1',"
                " '{\"a\": 1}', '', to_timestamp(n) FROM generate_series(1, 1100) AS n"
            ),
            {"id": UUID(workspace_id)},
        )
    answer = await ann.client.get(f"/api/workspaces/{workspace_id}/audit/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="audit-{workspace_id}.csv"'
    rows = list(csv.reader(io.StringIO(answer.text)))
    header = rows[0]
    assert header[:4] == ["id", "createdAt", "action", "actorKind"]
    assert len(rows) == 1 + 1100 + 2
    assert len({row[0] for row in rows[1:]}) == 1102, "every entry once"
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row)
    mine = next(row for row in rows if row[2] == "workspace.created")
    assert mine[header.index("actorName")] == "'=cmd()"
    assert orjson.loads(mine[header.index("details")])["slug"]
    few = await ann.client.get(f"/api/workspaces/{workspace_id}/audit/export", params={"action": "workspace."})
    assert len(few.text.splitlines()) == 2


async def test_who_reads_it(client: httpx.AsyncClient, platform: Platform, new_person: NewPerson) -> None:
    ann, admin, member, stranger = [await new_person() for _ in range(4)]
    workspace_id = (await make_workspace(ann))["id"]
    await join(platform, workspace_id, admin, Role.ADMIN)
    await join(platform, workspace_id, member, Role.MEMBER)
    other = (await make_workspace(stranger))["id"]
    await write(platform, other, "test.foreign")
    for path in (f"/api/workspaces/{workspace_id}/audit", f"/api/workspaces/{workspace_id}/audit/export"):
        callers = (client, member.client, stranger.client, admin.client)
        assert [(await one.get(path)).status_code for one in callers] == [401, 403, 404, 200]
        assert (await ann.client.get(path.replace(workspace_id, str(uuid4())))).status_code == 404
        assert (await ann.client.get(path, params={"from": "yesterday"})).status_code == 422
        assert (await ann.client.get(path, params={"actorUserId": "x"})).status_code == 422
        assert "test.foreign" not in (await ann.client.get(path)).text
    assert (await ann.client.get(f"/api/workspaces/{workspace_id}/audit", params={"limit": 201})).status_code == 422
