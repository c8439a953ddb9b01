"""What is told of what is used: by what, how much is left, what is largest, and what can be had back."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.storage.boxes import limit, uploaded, user_account
from tests.domains.storage.depots import workspace_account
from tests.domains.storage.painting import encoded, painted
from tests.domains.tasks.sites import Site, open_site
from tests.identity.teams import make_workspace

USAGE = "/api/storage/usage"
SIZE = 1000
Json = dict[str, Any]


@pytest.fixture
async def site(platform: Platform, new_person: NewPerson) -> Site:
    return await open_site(platform, new_person)


def content(number: int, size: int = SIZE) -> bytes:
    return number.to_bytes(4, "big") * (size // 4)


async def told(person: Person, **query: str) -> Json:
    answer = await person.client.get(USAGE, params=query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["usage"]
    return found


# --- who may ask ---------------------------------------------------------------------------------------------------


async def test_nobody_without_a_token_is_told(client: httpx.AsyncClient) -> None:
    assert (await client.get(USAGE)).status_code == 401


async def test_another_tenants_workspace_is_not_there(site: Site, person: Person) -> None:
    for workspace_id in (site.id, str(uuid4())):
        answer = await person.client.get(USAGE, params={"workspaceId": workspace_id})
        assert (answer.status_code, answer.json()["code"]) == (404, "workspace_not_found")


async def test_what_is_no_id_is_said(person: Person) -> None:
    answer = await person.client.get(USAGE, params={"workspaceId": "mine"})
    assert answer.status_code == 422


async def test_every_member_is_told(site: Site) -> None:
    guest = await site.person(Role.GUEST)
    assert (await told(guest, workspaceId=site.id))["workspaceId"] == site.id


# --- what is told --------------------------------------------------------------------------------------------------


async def test_who_never_had_a_file_uses_nothing_of_what_the_plan_holds(person: Person) -> None:
    found = await told(person)
    assert (found["totalUsed"], found["reserved"], found["savedByDeduplication"]) == (0, 0, 0)
    assert (found["userId"], found["workspaceId"]) == (str(person.id), None)
    assert found["largestFiles"] == found["reclaimable"] == []
    assert found["room"]["limit"] == found["room"]["available"]
    assert found["room"]["isShared"] is True


async def test_each_use_is_told_apart(site: Site) -> None:
    project = await site.project()
    task = await site.task(project)
    where = {"workspaceId": site.id}
    attached = await uploaded(site.owner, content(1), fileType="TASK_ATTACHMENT", taskId=task["id"], **where)
    await uploaded(site.owner, content(2), fileType="PROJECT_ASSET", projectId=project["id"], **where)
    await uploaded(site.owner, content(3), **where)
    found = await told(site.owner, **where)
    assert (found["taskAttachments"], found["projectAssets"], found["temporaryFiles"]) == (SIZE, SIZE, SIZE)
    assert found["totalUsed"] == 3 * SIZE
    assert [(one["kind"], one["bytes"]) for one in found["reclaimable"]] == [("TEMPORARY_FILES", SIZE)]

    await uploaded(site.owner, content(4), fileId=attached["id"])
    found = await told(site.owner, **where)
    assert (found["taskAttachments"], found["oldVersions"], found["totalUsed"]) == (SIZE, SIZE, 4 * SIZE)

    assert (await site.owner.client.delete(f"/api/storage/files/{attached['id']}")).status_code == 204
    found = await told(site.owner, **where)
    assert (found["taskAttachments"], found["oldVersions"], found["trash"]) == (0, 0, 2 * SIZE)
    assert [(one["kind"], one["bytes"]) for one in found["reclaimable"]] == [
        ("TRASH", 2 * SIZE),
        ("TEMPORARY_FILES", SIZE),
    ]
    advice = found["reclaimable"][0]
    assert (advice["method"], advice["address"]) == ("DELETE", "/api/storage/files/{fileId}?permanent=true")
    freed = advice["address"].format(fileId=attached["id"])
    assert (await site.owner.client.request(advice["method"], freed)).status_code == 204
    found = await told(site.owner, **where)
    assert (found["trash"], found["totalUsed"]) == (0, 2 * SIZE)


async def test_pictures_that_were_worn_before_are_no_trash_that_nobody_can_empty(person: Person) -> None:
    for side in (40, 50):
        answer = await person.client.post(
            "/api/user/avatar", content=encoded(painted(side, side)), headers={"Content-Type": "image/png"}
        )
        assert answer.status_code == 201, answer.text
    found = await told(person)
    assert (found["trash"], found["reclaimable"]) == (0, [])
    assert found["totalUsed"] == found["userAvatars"] > 0
    assert (await person.client.delete("/api/user/avatar")).status_code == 204
    found = await told(person)
    assert (found["totalUsed"], found["reclaimable"], found["largestFiles"]) == (0, [], [])


async def test_what_several_files_share_is_counted_once_and_by_its_best_use(site: Site) -> None:
    where = {"workspaceId": site.id}
    task = await site.task(await site.project())
    first = await uploaded(site.owner, content(1), "a.txt", **where)
    await uploaded(site.owner, content(1), "b.txt", fileType="TASK_ATTACHMENT", taskId=task["id"], **where)
    found = await told(site.owner, **where)
    assert (found["totalUsed"], found["taskAttachments"], found["temporaryFiles"]) == (SIZE, SIZE, 0)
    assert found["savedByDeduplication"] == SIZE
    await site.owner.client.delete(f"/api/storage/files/{first['id']}", params={"permanent": "true"})
    found = await told(site.owner, **where)
    assert (found["totalUsed"], found["savedByDeduplication"]) == (SIZE, 0)


async def test_the_largest_files_are_those_in_sight(site: Site) -> None:
    """A file in a private project counts for all, and is named to those who see it."""
    where = {"workspaceId": site.id}
    secret = await site.project(name="Secret", isPrivate=True)
    open_project = await site.project(name="Open")
    member = await site.person(Role.MEMBER)
    large = await uploaded(site.owner, content(1, 8000), fileType="PROJECT_ASSET", projectId=secret["id"], **where)
    small = await uploaded(
        site.owner, content(2, 4000), fileType="PROJECT_ASSET", projectId=open_project["id"], **where
    )
    mine = await told(site.owner, **where)
    assert [one["id"] for one in mine["largestFiles"]] == [large["id"], small["id"]]
    theirs = await told(member, **where)
    assert [one["id"] for one in theirs["largestFiles"]] == [small["id"]]
    assert theirs["totalUsed"] == mine["totalUsed"] == 12000


async def test_who_shares_the_room_is_counted_together(platform: Platform, new_person: NewPerson) -> None:
    owner = await new_person()
    first, second = [await make_workspace(owner) for _ in range(2)]
    await limit(platform, user_account(owner), storage=10_000)
    await uploaded(owner, content(1), workspaceId=first["id"])
    await uploaded(owner, content(2), workspaceId=second["id"])
    await uploaded(owner, content(3))
    found = await told(owner, workspaceId=first["id"])
    assert found["totalUsed"] == SIZE
    room = found["room"]
    assert (room["accounts"], room["used"], room["limit"], room["available"]) == (3, 3 * SIZE, 10_000, 7_000)
    await limit(platform, workspace_account(first), storage=5_000)
    room = (await told(owner, workspaceId=first["id"]))["room"]
    assert (room["isShared"], room["accounts"], room["used"], room["available"]) == (False, 1, SIZE, 4_000)
    assert (await told(owner))["room"]["used"] == 2 * SIZE


async def test_what_is_promised_to_uploads_under_way_is_told(platform: Platform, person: Person) -> None:
    await limit(platform, user_account(person), storage=10_000)
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "4000"}
    assert (await person.client.post("/api/storage/tus", headers=headers)).status_code == 201
    found = await told(person)
    assert (found["totalUsed"], found["reserved"], found["room"]["available"]) == (0, 4000, 6000)
    assert [(one["kind"], one["bytes"]) for one in found["reclaimable"]] == [("UPLOADS_UNDER_WAY", 4000)]


# --- where billing tells it ----------------------------------------------------------------------------------------


async def test_billing_tells_what_is_stored(platform: Platform, new_person: NewPerson) -> None:
    owner = await new_person()
    workspace = await make_workspace(owner)
    await limit(platform, user_account(owner), storage=10_000)
    await uploaded(owner, content(1), workspaceId=workspace["id"])
    await uploaded(owner, content(2))
    answer = await owner.client.get("/api/billing/subscriptions")
    assert (
        answer.json()["subscription"]["usage"]["storage"],
        answer.json()["subscription"]["usage"]["maxStorage"],
    ) == (
        2 * SIZE,
        10_000,
    )
    answer = await owner.client.get("/api/billing/usage")
    [storage] = [one for one in answer.json()["usage"] if one["metric"] == "STORAGE"]
    assert (storage["used"], storage["limit"], storage["unit"], storage["isOver"]) == (
        2 * SIZE,
        10_000,
        "bytes",
        False,
    )


async def test_an_account_that_is_over_is_told_so(platform: Platform, person: Person) -> None:
    """After a change to a smaller plan: nothing is deleted, and nothing can be added."""
    await uploaded(person, content(1))
    await limit(platform, user_account(person), storage=500)
    assert (await told(person))["room"]["available"] == 0
    answer = await person.client.get("/api/billing/usage")
    [storage] = [one for one in answer.json()["usage"] if one["metric"] == "STORAGE"]
    assert storage["isOver"] is True
    assert UUID(answer.json()["limitsFrom"]["accountId"]) == person.id
