"""Files attached to tasks and kept in projects: who may, what is seen, and what becomes of them."""

import asyncio
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select

from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.storage import destinations
from pm_api.domains.storage.models import StorageUsage, StoredFile, StoredObject
from pm_api.identity.permissions import Role
from pm_api.integrations.blobs import BlobDoor
from tests.conftest import Person
from tests.domains.storage.boxes import upload, uploaded
from tests.domains.storage.painting import encoded, opened, painted, photograph
from tests.domains.tasks.sites import Json, Site
from tests.domains.tasks.talking import activity_of, check_gates, path, refused, send
from tests.support.clock import MovableClock

NOBODY = str(UUID(int=1))
ATTACHED = {"fileType": "TASK_ATTACHMENT"}


async def attached(site: Site, person: Person, task: Json, content: bytes = b"plan", name: str = "plan.txt") -> Json:
    """A file uploaded to a task directly."""
    return await uploaded(person, content, name, taskId=task["id"], **ATTACHED)


async def temporary(site: Site, person: Person, content: bytes = b"notes") -> Json:
    return await uploaded(person, content, "notes.txt", workspaceId=site.workspace["id"])


async def names_on(person: Person, task: Json) -> list[str]:
    found = await send(person, "GET", path(task, "/attachments"), 200)
    return [one["originalName"] for one in found["attachments"]]


async def file_of(platform: Platform, file_id: str) -> StoredFile | None:
    async with platform.database.reading() as session:
        return await session.get(StoredFile, UUID(file_id))


async def usage_of(platform: Platform, site: Site) -> StorageUsage:
    async with platform.database.reading() as session:
        found = await session.get(StorageUsage, UUID(site.workspace["id"]))
        assert found is not None
        return found


async def see(person: Person, file: Json) -> int:
    return (await person.client.get(f"/api/storage/files/{file['id']}")).status_code


# --- the routes ----------------------------------------------------------------------------------------------------


async def test_gates(site: Site, client: httpx.AsyncClient) -> None:
    task = await site.task(await site.project())
    file = await temporary(site, site.owner)
    await check_gates(site, "GET", path(task, "/attachments"), viewer=200, anonymous=client)
    await check_gates(site, "POST", path(task, "/attachments"), {"fileId": file["id"]}, anonymous=client)
    await check_gates(site, "DELETE", path(task, f"/attachments/{file['id']}"), anonymous=client)


async def test_a_file_is_uploaded_and_then_attached(site: Site) -> None:
    project = await site.project()
    member, other = await site.person(Role.MEMBER), await site.person(Role.VIEWER)
    task = await site.task(project, by=member)
    file = await temporary(site, member)
    assert file["isTemporary"] is True
    assert await see(other, file) == 404
    answer = await member.client.post(path(task, "/attachments"), json={"fileId": file["id"]})
    assert answer.status_code == 201, answer.text
    made = answer.json()["attachment"]
    assert answer.headers["location"] == f"/api/storage/files/{file['id']}"
    assert (made["isTemporary"], made["expiresAt"], made["fileType"]) == (False, None, "TASK_ATTACHMENT")
    assert (made["taskId"], made["projectId"]) == (task["id"], project["id"])
    assert answer.headers["etag"] == f'"{made["version"]}"'
    assert await see(other, file) == 200
    assert await names_on(other, task) == ["notes.txt"]
    assert (await site.read(task))["counts"]["attachments"] == 1
    again = await send(member, "POST", path(task, "/attachments"), 201, {"fileId": file["id"]})
    assert again["attachment"]["version"] == made["version"]
    assert (await activity_of(member, task)).count("attachment_added") == 1
    usage = await usage_of(site.platform, site)
    assert (usage.task_attachments, usage.temporary_files) == (5, 0)


async def test_it_is_taken_off_and_comes_back(site: Site) -> None:
    task = await site.task(await site.project())
    file = await attached(site, site.owner, task)
    await send(site.owner, "DELETE", path(task, f"/attachments/{file['id']}"), 204)
    assert await names_on(site.owner, task) == []
    assert (await site.read(task))["counts"]["attachments"] == 0
    assert "attachment_removed" in await activity_of(site.owner, task)
    gone = await refused(site.owner, "DELETE", path(task, f"/attachments/{file['id']}"))
    assert gone == (404, "file_not_found")
    await send(site.owner, "POST", f"/api/storage/files/{file['id']}/restore", 200)
    assert await names_on(site.owner, task) == ["plan.txt"]


async def test_the_history_tells_of_files_whichever_way_they_come_and_go(site: Site) -> None:
    project = await site.project()
    task, other = await site.task(project), await site.task(project)
    before = [await activity_of(site.owner, one) for one in (task, other)]
    straight = await attached(site, site.owner, task)
    address = f"/api/storage/files/{straight['id']}"
    added, removed = "attachment_added", "attachment_removed"
    await uploaded(site.owner, b"anew", "plan.txt", fileId=straight["id"])
    await send(site.owner, "PATCH", address, 200, {"originalName": "b.txt"})
    await send(site.owner, "PATCH", address, 200, {"taskId": other["id"], "originalName": "c.txt", **ATTACHED})
    await send(site.owner, "DELETE", address, 204)
    await send(site.owner, "POST", f"{address}/restore", 200)
    await send(site.owner, "DELETE", f"{address}?permanent=true", 204)
    claimed = await temporary(site, site.owner)
    await send(site.owner, "PATCH", f"/api/storage/files/{claimed['id']}", 200, {"taskId": task["id"], **ATTACHED})
    await send(site.owner, "DELETE", path(task, f"/attachments/{claimed['id']}"), 204)
    await send(site.owner, "DELETE", f"/api/storage/files/{claimed['id']}?permanent=true", 204)
    told = [(await activity_of(site.owner, one))[len(old) :] for one, old in zip((task, other), before, strict=True)]
    assert told == [[added, removed, added, removed], [added, removed, added, removed]]
    history = (await send(site.owner, "GET", path(other, "/activity"), 200))["activity"]
    [change] = next(one for one in history if one["action"] == added)["changes"]
    assert (change["field"], change["old"], change["new"]["name"]) == ("attachment", None, "c.txt")


async def test_what_is_refused(site: Site) -> None:
    project = await site.project()
    task, other = await site.task(project), await site.task(project)
    member, viewer = await site.person(Role.MEMBER), await site.person(Role.VIEWER)
    theirs = await temporary(site, member)
    unknown = {"fileId": theirs["id"]}
    assert await refused(site.owner, "POST", path(task, "/attachments"), unknown) == (404, "file_not_found")
    assert await refused(site.owner, "POST", path(task, "/attachments"), {"fileId": NOBODY}) == (
        404,
        "file_not_found",
    )
    assert (await refused(site.owner, "POST", path(task, "/attachments"), {"fileId": "x"}))[0] == 422
    assert (await refused(site.owner, "POST", path(task, "/attachments"), {}))[0] == 422
    file = await attached(site, site.owner, task)
    assert await refused(site.owner, "DELETE", path(other, f"/attachments/{file['id']}")) == (404, "file_not_found")
    assert await refused(member, "DELETE", path(task, f"/attachments/{file['id']}")) == (403, "not_the_uploader")
    assert (await upload(viewer, b"x", taskId=task["id"], **ATTACHED)).status_code == 403
    elsewhere = await site.project(name="Elsewhere")
    answer = await upload(member, b"x", taskId=task["id"], projectId=elsewhere["id"], **ATTACHED)
    assert (answer.status_code, answer.json()["code"]) == (404, "place_not_found")
    for query, code in (
        ({"fileType": "TASK_ATTACHMENT"}, "not_a_place_for_files"),
        ({"fileType": "PROJECT_ASSET"}, "not_a_place_for_files"),
        ({"fileType": "USER_AVATAR"}, "not_a_place_for_files"),
        ({"fileType": "WORKSPACE_LOGO"}, "not_a_place_for_files"),
        ({"fileType": "DRIVE_CACHE"}, "not_a_place_for_files"),
    ):
        answer = await upload(member, b"x", workspaceId=site.workspace["id"], **query)
        assert (answer.status_code, answer.json()["code"]) == (422, code), query


async def test_an_archived_project_takes_no_files(site: Site) -> None:
    project = await site.project()
    task = await site.task(project)
    file, placed = await temporary(site, site.owner), await attached(site, site.owner, task)
    asset = await uploaded(site.owner, b"kept", "kept.txt", projectId=project["id"], fileType="PROJECT_ASSET")
    thrown = await attached(site, site.owner, task, b"thrown")
    await send(site.owner, "DELETE", f"/api/storage/files/{thrown['id']}", 204)
    await site.archive(project)
    wanted = {"fileId": file["id"]}
    assert await refused(site.owner, "POST", path(task, "/attachments"), wanted) == (409, "project_archived")
    taken = await refused(site.owner, "DELETE", path(task, f"/attachments/{placed['id']}"))
    assert taken == (409, "project_archived")
    address = "/api/storage/files/{}".format
    for method, path_of_file, body in (
        ("PATCH", address(placed["id"]), {"originalName": "b.txt"}),
        ("PATCH", address(asset["id"]), {"originalName": "b.txt"}),
        ("DELETE", address(asset["id"]), None),
        ("DELETE", address(placed["id"]) + "?permanent=true", None),
        ("POST", address(thrown["id"]) + "/restore", None),
    ):
        assert await refused(site.owner, method, path_of_file, body) == (409, "project_archived"), path_of_file
    for query in (
        {"taskId": task["id"], **ATTACHED},
        {"projectId": project["id"], "fileType": "PROJECT_ASSET"},
        {"fileId": asset["id"]},
    ):
        answer = await upload(site.owner, b"x", **query)
        assert (answer.status_code, answer.json()["code"]) == (409, "project_archived")
    # What would be refused is not offered.
    for one, allowed in ((placed, ["READ", "LINK"]), (asset, ["READ", "LINK"]), (thrown, ["PURGE"])):
        shown = (await send(site.owner, "GET", address(one["id"]), 200))["file"]
        assert shown["allowedActions"] == allowed
    listed = (await send(site.owner, "GET", path(task, "/attachments"), 200))["attachments"]
    assert [one["allowedActions"] for one in listed] == [["READ", "LINK"]]
    # Room can be made: what was thrown away would go by itself.
    await send(site.owner, "DELETE", address(thrown["id"]) + "?permanent=true", 204)


async def test_a_task_has_so_many_and_no_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "MOST_OF_ONE_TASK", 2)
    task = await site.task(await site.project())
    for number in range(2):
        await attached(site, site.owner, task, b"%d" % number)
    answer = await upload(site.owner, b"more", taskId=task["id"], **ATTACHED)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_files_here")
    kept = (await send(site.owner, "GET", path(task, "/attachments"), 200))["attachments"]
    await send(site.owner, "POST", path(task, "/attachments"), 201, {"fileId": kept[0]["id"]})
    waiting = await temporary(site, site.owner)
    claim = {"fileId": waiting["id"]}
    assert await refused(site.owner, "POST", path(task, "/attachments"), claim) == (409, "too_many_files_here")
    thrown = f"/api/storage/files/{kept[0]['id']}"
    await send(site.owner, "DELETE", thrown, 204)
    await send(site.owner, "POST", path(task, "/attachments"), 201, claim)
    assert await refused(site.owner, "POST", f"{thrown}/restore") == (409, "too_many_files_here")


async def test_uploads_that_come_at_once_do_not_pass_the_number(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "MOST_OF_ONE_TASK", 3)
    task = await site.task(await site.project())
    answers = await asyncio.gather(
        *(upload(site.owner, b"%d" % number, taskId=task["id"], **ATTACHED) for number in range(8))
    )
    assert sorted(one.status_code for one in answers) == [201] * 3 + [409] * 5
    assert (await site.read(task))["counts"]["attachments"] == 3


# --- sight ---------------------------------------------------------------------------------------------------------


async def test_who_does_not_see_the_project_sees_none_of_its_files(site: Site) -> None:
    private = await site.project(isPrivate=True)
    task = await site.task(private)
    file = await attached(site, site.owner, task, encoded(painted()), "secret.png")
    asset = await uploaded(site.owner, b"asset", projectId=private["id"], fileType="PROJECT_ASSET")
    member, stranger = await site.person(Role.MEMBER), await site.new_person()
    for person in (member, stranger):
        for one in (file, asset):
            for rest in ("", "/content", "/thumbnail"):
                answer = await person.client.get(f"/api/storage/files/{one['id']}{rest}")
                assert answer.status_code == 404, (rest, answer.text)
        for query in ({"taskId": task["id"], **ATTACHED}, {"projectId": private["id"], "fileType": "PROJECT_ASSET"}):
            answer = await upload(person, b"x", **query)
            assert (answer.status_code, answer.json()["code"]) == (404, "place_not_found")


async def test_a_picture_says_at_once_how_large_it_is(site: Site) -> None:
    task = await site.task(await site.project())
    for content, size in (
        (encoded(painted(400, 200)), (400, 200)),
        (photograph(120, 80, 6), (80, 120)),
        (b"no picture", (None, None)),
    ):
        file = await attached(site, site.owner, task, content, "photo")
        assert (file["width"], file["height"]) == size


async def test_a_picture_has_a_small_one(site: Site) -> None:
    task = await site.task(await site.project())
    file = await attached(site, site.owner, task, encoded(painted(400, 200)), "photo.png")
    viewer = await site.person(Role.VIEWER)
    address = f"/api/storage/files/{file['id']}/thumbnail"
    for size, shown in ((None, (256, 128)), (128, (128, 64)), (512, (400, 200)), (1024, (400, 200))):
        answer = await viewer.client.get(address, params={"size": size} if size else {})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/webp"
        assert answer.headers["cache-control"] == "private, no-cache"
        assert opened(answer.content).size == shown
    known = await viewer.client.get(address, headers={"If-None-Match": answer.headers["etag"]}, params={"size": 1024})
    assert known.status_code == 304
    read = (await viewer.client.get(f"/api/storage/files/{file['id']}")).json()["file"]
    assert (read["width"], read["height"]) == (400, 200)
    assert read["thumbnailUrl"]
    text = await attached(site, site.owner, task)
    broken = await attached(site, site.owner, task, encoded(painted(300, 300))[:500], "broken.png")
    for none in (text, broken):
        for _ in range(2):
            answer = await viewer.client.get(f"/api/storage/files/{none['id']}/thumbnail")
            assert (answer.status_code, answer.json()["code"]) == (404, "no_thumbnail")
    await send(site.owner, "DELETE", path(task, f"/attachments/{file['id']}"), 204)
    assert (await viewer.client.get(address)).status_code == 404


# --- ends ----------------------------------------------------------------------------------------------------------


async def test_files_of_deleted_things_are_out_of_sight_and_come_back(site: Site) -> None:
    project = await site.project()
    task = await site.task(project)
    file = await attached(site, site.owner, task)
    asset = await uploaded(site.owner, b"asset", projectId=project["id"], fileType="PROJECT_ASSET")
    await send(site.owner, "DELETE", path(task), 200)
    assert [await see(site.owner, one) for one in (file, asset)] == [404, 200]
    assert (await upload(site.owner, b"x", taskId=task["id"], **ATTACHED)).status_code == 404
    await send(site.owner, "POST", path(task, "/restore"), 200)
    assert await see(site.owner, file) == 200
    await site.delete_project(project)
    assert [await see(site.owner, one) for one in (file, asset)] == [404, 404]
    assert (await upload(site.owner, b"x", projectId=project["id"], fileType="PROJECT_ASSET")).status_code == 404
    usage = await usage_of(site.platform, site)  # what may come back counts on
    assert (usage.task_attachments, usage.project_assets) == (4, 5)


async def test_files_go_with_a_task_that_goes_for_good(site: Site, clock: MovableClock) -> None:
    platform, project = site.platform, await site.project()
    task, other = await site.task(project), await site.task(project)
    file = await attached(site, site.owner, task, b"only here")
    trashed = await attached(site, site.owner, task, b"thrown away")
    await send(site.owner, "DELETE", path(task, f"/attachments/{trashed['id']}"), 204)
    shared = [await attached(site, site.owner, one, b"both") for one in (task, other)]
    row = await file_of(platform, file["id"])
    assert row is not None
    async with platform.database.reading() as session:
        key = await session.scalar(select(StoredObject.key).where(StoredObject.id == row.object_id))
    await send(site.owner, "DELETE", path(task), 200)
    clock.advance_business(days=31)
    await run_sweep(platform, PERIODICS["tasks.forget_deleted"])
    assert [await file_of(platform, one["id"]) is None for one in (file, trashed, *shared)] == [
        True,
        True,
        True,
        False,
    ]
    usage = await usage_of(platform, site)
    assert (usage.task_attachments, usage.trash, usage.total_used) == (4, 0, 4)
    assert key is not None
    assert await platform.part(BlobDoor).head(key) is not None
    await run_sweep(platform, PERIODICS["storage.take_away"])
    assert await platform.part(BlobDoor).head(key) is None
    content = await site.owner.client.get(f"/api/storage/files/{shared[1]['id']}/content")
    assert content.content == b"both"


async def test_files_go_with_a_project_that_goes_for_good(site: Site, clock: MovableClock) -> None:
    platform, project = site.platform, await site.project()
    task = await site.task(project)
    await attached(site, site.owner, task, b"one")
    await uploaded(site.owner, b"two", projectId=project["id"], fileType="PROJECT_ASSET")
    thrown = await uploaded(site.owner, b"three", projectId=project["id"], fileType="PROJECT_ASSET")
    assert (await site.owner.client.delete(f"/api/storage/files/{thrown['id']}")).status_code == 204
    kept = await temporary(site, site.owner, b"kept")
    await site.delete_project(project)
    clock.advance_business(days=31)
    await run_sweep(platform, PERIODICS["projects.erase_expired"])
    async with platform.database.reading() as session:
        left = select(func.count()).where(StoredFile.workspace_id == UUID(site.workspace["id"]))
        assert await session.scalar(left) == 1
    assert await file_of(platform, kept["id"]) is not None
    assert (await usage_of(platform, site)).total_used == 4


async def test_a_copy_has_no_files(site: Site) -> None:
    project = await site.project()
    await attached(site, site.owner, await site.task(project))
    wanted = {"name": "Copy", "includeTasks": True}
    copied = await send(site.owner, "POST", f"/api/projects/{project['id']}/copy", 201, wanted)
    [task] = await site.listed(projectId=copied["project"]["id"])
    assert task["counts"]["attachments"] == 0
    assert await names_on(site.owner, task) == []
