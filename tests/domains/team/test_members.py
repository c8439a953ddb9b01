"""Members and the invited side by side, and what a removal says is left behind."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import pool_requests, pools
from pm_api.domains.ai_credits.enums import CapWindow
from pm_api.domains.ai_credits.schemas.pools import CapWrite, PoolRequestCreate
from pm_api.identity import belongings
from pm_api.identity.belongings import Belonging, Leaver, Left
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.team.inviting import a_team, invited, path_of_member, row_of
from tests.identity.teams import audit_of, join


async def listed(viewer: Person, workspace_id: str, **query: Any) -> httpx.Response:
    return await viewer.client.get("/api/team/members", params={"workspaceId": workspace_id, **query})


def id_in(path: str) -> str:
    return path.rsplit("/", 1)[1]


# --- the invited -----------------------------------------------------------------------------------------------


async def test_the_invited_are_listed_by_status(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(name="Ann"), await new_person(name="Bob")
    workspace_id = await a_team(platform, ann)
    await join(platform, workspace_id, bob, Role.MEMBER)
    known = await new_person(name="Known")
    first = await invited(ann, workspace_id, known.email, "VIEWER")
    emails = [f"z{n}{uuid4().hex[:8]}@example.com" for n in range(3)]
    for one in emails:
        await invited(ann, workspace_id, one)
    gone = await invited(ann, workspace_id, f"{uuid4().hex}@example.com")
    await ann.client.delete(f"/api/team/invitations/{gone['id']}")

    active = (await listed(ann, workspace_id)).json()["members"]
    assert [(one["name"], one["status"]) for one in active] == [("Ann", "ACTIVE"), ("Bob", "ACTIVE")]
    assert (await listed(ann, workspace_id, status="ACTIVE")).json()["members"] == active
    waiting = (await listed(ann, workspace_id, status="INVITED")).json()["members"]
    assert [one["email"] for one in waiting] == [*emails[::-1], known.email]
    assert waiting[-1] == {
        "id": first["id"],
        "workspaceId": workspace_id,
        "userId": None,
        "name": None,
        "avatar": None,
        "email": known.email,
        "role": "VIEWER",
        "status": "INVITED",
        "joinedAt": None,
        "invitedAt": first["sentAt"],
        "version": 1,
    }, "nobody finds people outside a shared workspace"
    page = (await listed(ann, workspace_id, status="INVITED", limit=3)).json()
    assert len(page["members"]) == 3
    rest = (await listed(ann, workspace_id, status="INVITED", cursor=page["nextCursor"])).json()
    assert ([one["email"] for one in rest["members"]], rest["nextCursor"]) == ([known.email], None)
    assert (await listed(ann, workspace_id, cursor=page["nextCursor"])).status_code == 422
    by_role = (await listed(ann, workspace_id, status="INVITED", role="VIEWER")).json()["members"]
    assert [one["email"] for one in by_role] == [known.email]
    by_text = (await listed(ann, workspace_id, status="INVITED", q="Z0")).json()["members"]
    assert [one["email"] for one in by_text] == [emails[0]]


async def test_only_who_invites_sees_the_invited(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    await join(platform, workspace_id, bob, Role.MEMBER)
    answer = await listed(bob, workspace_id, status="INVITED")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await listed(bob, workspace_id)).status_code == 200
    assert (await listed(ann, workspace_id, status="ASLEEP")).status_code == 422


# --- what is left behind ---------------------------------------------------------------------------------------


async def with_belongings(platform: Platform, owner: Person, person: Person, workspace_id: str) -> list[str]:
    """A cap, a request and three invitations, one of which is over; the ids of those that wait."""
    owner_scope = WorkspaceScope(Actor(ActorKind.USER, owner.id), UUID(workspace_id), owner.id, "OWNER")
    scope = WorkspaceScope(Actor(ActorKind.USER, person.id), UUID(workspace_id), person.id, "ADMIN")
    async with platform.database.transaction() as session:
        cap = CapWrite(amount=5, window=CapWindow.DAY)
        await pools.put_cap(session, platform, owner_scope, f"member:{person.id}", cap, None)
        wanted = PoolRequestCreate.model_validate(
            {"workspaceId": workspace_id, "kind": "CREDITS", "amount": 5, "reason": "The launch"}
        )
        await pool_requests.create(session, platform, scope, wanted)
    made = [await invited(person, workspace_id, f"{uuid4().hex}@example.com") for _ in range(3)]
    await person.client.delete(f"/api/team/invitations/{made[2]['id']}")
    return [one["id"] for one in made[:2]]


def told(content: list[dict[str, Any]]) -> dict[str, tuple[int, int, bool]]:
    return {one["kind"]: (one["count"], one["reassigned"], one["canBeReassigned"]) for one in content}


async def test_a_removal_says_what_is_left_and_hands_it_over(platform: Platform, new_person: NewPerson) -> None:
    owner, admin, heir = await new_person(), await new_person(), await new_person()
    workspace_id = await a_team(platform, owner)
    await join(platform, workspace_id, admin, Role.ADMIN)
    heirs = await join(platform, workspace_id, heir, Role.MEMBER)
    waiting = await with_belongings(platform, owner, admin, workspace_id)
    path = await path_of_member(owner, workspace_id, admin)
    seen = (await owner.client.get(f"{path}/belongings")).json()
    assert told(seen["belongings"]) == {
        "credit_caps": (1, 0, False),
        "credit_pool_requests": (1, 0, False),
        "invitations": (2, 0, True),
    }
    assert seen["member"]["userId"] == str(admin.id)
    assert all(one["stays"] for one in seen["belongings"])
    answer = await owner.client.delete(path, params={"reassignTo": str(heirs)})
    assert answer.status_code == 200, answer.text
    removal = answer.json()["removal"]
    assert told(removal["leftBehind"]) == {
        "credit_caps": (1, 0, False),
        "credit_pool_requests": (1, 0, False),
        "invitations": (2, 2, True),
    }
    assert (removal["reassignedTo"], removal["member"]["email"]) == (str(heir.id), admin.email)
    for one in waiting:
        row = await row_of(platform, one)
        assert (row.invited_by, row.status, row.version) == (heir.id, "PENDING", 2)
    assert (await admin.client.get(f"/api/workspaces/{workspace_id}")).status_code == 404
    last = (await audit_of(platform, workspace_id))[-1]
    assert last.action == "member.removed"
    assert last.details["left"] == {"credit_caps": 1, "credit_pool_requests": 1, "invitations": 2}
    assert last.details["reassigned_to"] == str(heir.id)


async def test_without_an_heir_things_stay_as_they_are(platform: Platform, new_person: NewPerson) -> None:
    owner, admin = await new_person(), await new_person()
    workspace_id = await a_team(platform, owner)
    await join(platform, workspace_id, admin, Role.ADMIN)
    waiting = await with_belongings(platform, owner, admin, workspace_id)
    path = await path_of_member(owner, workspace_id, admin)
    assert told((await admin.client.get(f"{path}/belongings")).json()["belongings"])["invitations"] == (2, 0, True)
    removal = (await admin.client.delete(path)).json()["removal"]
    assert told(removal["leftBehind"])["invitations"] == (2, 0, True)
    assert removal["reassignedTo"] is None
    assert (await row_of(platform, waiting[0])).invited_by == admin.id


async def test_who_leaves_nothing_leaves_nothing(platform: Platform, new_person: NewPerson) -> None:
    owner, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, owner)
    await join(platform, workspace_id, bob, Role.VIEWER)
    removal = (await bob.client.delete(await path_of_member(owner, workspace_id, bob))).json()["removal"]
    assert removal["leftBehind"] == []


@pytest.mark.parametrize("heir", ["themselves", "a viewer", "a stranger", "a user's id", "nobody"])
async def test_not_everybody_can_take_over(platform: Platform, new_person: NewPerson, heir: str) -> None:
    owner, admin, viewer, stranger = [await new_person() for _ in range(4)]
    workspace_id = await a_team(platform, owner)
    admins = await join(platform, workspace_id, admin, Role.ADMIN)
    viewers = await join(platform, workspace_id, viewer, Role.VIEWER)
    elsewhere = await a_team(platform, stranger)
    strangers = id_in(await path_of_member(stranger, elsewhere, stranger))
    chosen = {
        "themselves": admins,
        "a viewer": viewers,
        "a stranger": strangers,
        "a user's id": owner.id,
        "nobody": uuid4(),
    }[heir]
    answer = await owner.client.delete(f"/api/team/members/{admins}", params={"reassignTo": str(chosen)})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_reassignment")
    assert (await admin.client.get(f"/api/workspaces/{workspace_id}")).status_code == 200


async def test_the_gate_of_belongings(client: httpx.AsyncClient, platform: Platform, new_person: NewPerson) -> None:
    owner, admin, member, stranger = [await new_person() for _ in range(4)]
    workspace_id = await a_team(platform, owner)
    admins = await join(platform, workspace_id, admin, Role.ADMIN)
    await join(platform, workspace_id, member, Role.MEMBER)
    path = f"/api/team/members/{admins}/belongings"
    assert (await client.get(path)).status_code == 401
    assert (await stranger.client.get(path)).status_code == 404
    assert (await owner.client.get(f"/api/team/members/{uuid4()}/belongings")).status_code == 404
    asked = await member.client.get(path)
    assert (asked.status_code, asked.json()["code"]) == (403, "forbidden")
    above = await admin.client.get(f"{await path_of_member(owner, workspace_id, owner)}/belongings")
    assert (above.status_code, above.json()["code"]) == (403, "role_too_high")
    assert (await admin.client.get(path)).status_code == 200, "one's own"


async def test_a_slice_says_what_is_its_peoples(
    platform: Platform, new_person: NewPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a later slice does: it counts, and hands over what it can."""
    owner, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, owner)
    await join(platform, workspace_id, bob, Role.MEMBER)
    owners = id_in(await path_of_member(owner, workspace_id, owner))
    moved = []

    async def count(_session: object, _platform: object, leaver: Leaver) -> int:
        return 7 if leaver.user_id == bob.id else 0

    async def hand_over(_session: object, _platform: object, leaver: Leaver, to_user_id: UUID) -> int:
        moved.append((leaver.workspace_id, leaver.user_id, to_user_id))
        return 4

    kinds = {"tasks": Belonging("tasks", "They stay assigned to nobody.", count, hand_over)}
    monkeypatch.setattr(belongings, "_KINDS", kinds)
    with pytest.raises(TypeError):
        belongings.register(kinds["tasks"])
    path = await path_of_member(owner, workspace_id, bob)
    answer = await owner.client.delete(path, params={"reassignTo": owners})
    assert told(answer.json()["removal"]["leftBehind"]) == {"tasks": (7, 4, True)}
    assert moved == [(UUID(workspace_id), bob.id, owner.id)]
    async with platform.database.reading() as session:
        leaver = Leaver(Actor(ActorKind.SYSTEM), UUID(workspace_id), owner.id)
        assert await belongings.left_by(session, platform, leaver, bob.id) == []
        leaver = Leaver(Actor(ActorKind.SYSTEM), UUID(workspace_id), bob.id)
        found = await belongings.left_by(session, platform, leaver, None)
    assert found == [Left("tasks", 7, 0, "They stay assigned to nobody.", True)]
