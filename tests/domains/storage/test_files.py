"""One file and lists of them: named, placed, thrown away and taken back."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from pm_api.core.platform import Platform
from pm_api.domains.storage.models import DoomedObject, StoredFile, StoredObject
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.storage import tus_client
from tests.domains.storage.boxes import sha256, upload, uploaded, usage, used
from tests.domains.tasks.sites import Site, open_site, refusal
from tests.support.clock import MovableClock

Json = dict[str, Any]
CONTENT = b"What the plan says."


@pytest.fixture
async def site(platform: Platform, new_person: NewPerson) -> Site:
    return await open_site(platform, new_person)


def path_of(file: Json, rest: str = "") -> str:
    return f"/api/storage/files/{file['id']}{rest}"


async def read(person: Person, file: Json) -> Json:
    answer = await person.client.get(path_of(file))
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["file"]
    return found


async def listed(person: Person, **query: Any) -> list[str]:
    """Names, all pages."""
    names: list[str] = []
    cursor: Json = {}
    while True:
        answer = await person.client.get("/api/storage/files", params={"limit": 2, **query, **cursor})
        assert answer.status_code == 200, answer.text
        names += [one["originalName"] for one in answer.json()["files"]]
        if answer.json()["nextCursor"] is None:
            return names
        cursor = {"cursor": answer.json()["nextCursor"]}


async def changes_of(person: Person, workspace_id: str) -> list[tuple[str, str]]:
    answer = await person.client.get("/api/changes", params={"workspaceId": workspace_id, "limit": 200})
    return [(one["action"], one["entityId"]) for one in answer.json()["changes"] if one["entity"] == "file"]


# --- one -----------------------------------------------------------------------------------------------------------


async def test_what_is_told_of_a_file(person: Person) -> None:
    file = await uploaded(person, CONTENT, "plan.txt")
    found = await read(person, file)
    assert found["originalName"] == "plan.txt"
    assert found["fileSize"] == len(CONTENT)
    assert found["checksumSha256"] == sha256(CONTENT)
    assert (found["mimeType"], found["declaredMimeType"]) == ("text/plain", "text/plain")
    assert (found["uploadStatus"], found["scanned"], found["scanState"]) == ("COMPLETED", False, "NOT_SCANNED")
    assert found["uploadedBy"] == {"id": str(person.id), "name": person.name, "avatar": None}
    assert (found["workspaceId"], found["userId"]) == (None, str(person.id))
    assert found["isTemporary"] is True
    assert found["expiresAt"] is not None
    assert found["allowedActions"] == ["READ", "LINK", "RENAME", "ADD_VERSION", "DELETE"]
    assert found["contentUrl"] == path_of(file, "/content")


async def test_head_of_a_version_says_what_get_does_without_the_bytes(person: Person) -> None:
    file = await uploaded(person, CONTENT)
    await upload(person, b"What it says now.", fileId=file["id"])
    address = path_of(file, "/versions/1/content")
    whole, head = await person.client.get(address), await person.client.head(address)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag", "content-disposition", "accept-ranges"):
        assert head.headers[name] == whole.headers[name], name
    known = await person.client.head(address, headers={"If-None-Match": whole.headers["etag"]})
    assert known.status_code == 304
    assert (await person.client.head(path_of(file, "/versions/9/content"))).status_code == 404


async def test_its_tag_answers_304(person: Person) -> None:
    file = await uploaded(person, CONTENT)
    tag = (await person.client.get(path_of(file))).headers["etag"]
    again = await person.client.get(path_of(file), headers={"If-None-Match": tag})
    assert again.status_code == 304


async def test_it_is_named_anew_unless_it_has_changed_meanwhile(person: Person) -> None:
    file = await uploaded(person, CONTENT)
    stale = {"If-Match": f'"{file["version"] + 1}"'}
    body = {"originalName": "other.txt"}
    assert (await person.client.patch(path_of(file), json=body, headers=stale)).status_code == 412
    good = {"If-Match": f'"{file["version"]}"'}
    answer = await person.client.patch(path_of(file), json=body, headers=good)
    assert answer.json()["file"]["originalName"] == "other.txt"
    assert answer.json()["file"]["version"] == file["version"] + 1
    assert answer.headers["etag"] == f'"{file["version"] + 1}"'
    same = await person.client.patch(path_of(file), json=body)
    assert same.json()["file"]["version"] == file["version"] + 1, "what changes nothing counts nothing"
    content = await person.client.get(file["contentUrl"])
    assert content.headers["content-disposition"] == 'attachment; filename="other.txt"'


@pytest.mark.parametrize("body", [{"originalName": None}, {"name": "x"}, {"fileType": "PHOTO"}, {"taskId": "x"}, []])
async def test_a_bad_change_is_refused(person: Person, body: Any) -> None:
    file = await uploaded(person, CONTENT)
    assert (await person.client.patch(path_of(file), json=body)).status_code == 422


async def test_nobody_and_nobody_else(client: httpx.AsyncClient, new_person: NewPerson, person: Person) -> None:
    file = await uploaded(person, CONTENT)
    other = await new_person()
    calls = [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/restore"),
        ("GET", "/versions"),
        ("POST", "/versions/1/restore"),
        ("DELETE", "/versions/1"),
        ("GET", "/versions/1/content"),
    ]
    for method, rest in calls:
        json = {"originalName": "a.txt"} if method == "PATCH" else None
        assert (await client.request(method, path_of(file, rest), json=json)).status_code == 401, rest
        for foreign in (path_of(file, rest), path_of({"id": uuid4()}, rest)):
            answer = await other.client.request(method, foreign, json=json)
            assert refusal(answer) == (404, "file_not_found"), (method, rest)
    assert (await read(person, file))["version"] == file["version"]


# --- places --------------------------------------------------------------------------------------------------------


async def test_a_temporary_file_is_claimed_by_a_task(site: Site, platform: Platform) -> None:
    member, viewer = await site.person(Role.MEMBER), await site.person(Role.VIEWER)
    project = await site.project()
    task = await site.task(project)
    file = await uploaded(member, CONTENT, workspaceId=site.id)
    assert (await usage(platform, site.workspace["id"])).temporary_files == len(CONTENT)  # type: ignore[union-attr]
    assert refusal(await viewer.client.get(path_of(file))) == (404, "file_not_found")
    assert refusal(await site.owner.client.get(path_of(file))) == (404, "file_not_found"), "admins neither"
    body = {"fileType": "TASK_ATTACHMENT", "taskId": task["id"]}
    answer = await member.client.patch(path_of(file), json=body)
    assert answer.status_code == 200, answer.text
    claimed = answer.json()["file"]
    assert (claimed["taskId"], claimed["projectId"]) == (task["id"], project["id"])
    assert (claimed["isTemporary"], claimed["expiresAt"]) == (False, None)
    assert (await read(viewer, file))["allowedActions"] == ["READ", "LINK"]
    assert await listed(viewer, workspaceId=site.id, taskId=task["id"]) == ["plan.txt"]
    row = await usage(platform, site.workspace["id"])
    assert row is not None
    assert (row.temporary_files, row.task_attachments, row.total_used) == (0, len(CONTENT), len(CONTENT))


async def test_what_is_no_place_is_refused_and_changes_nothing(site: Site, new_person: NewPerson) -> None:
    member = await site.person(Role.MEMBER)
    project, hidden = await site.project(), await site.project(isPrivate=True)
    task = await site.task(hidden)
    file = await uploaded(member, CONTENT, workspaceId=site.id)
    for body, code in (
        ({"fileType": "TASK_ATTACHMENT"}, 422),
        ({"taskId": task["id"]}, 422),
        ({"fileType": "TEMPORARY_UPLOAD"}, 422),
        ({"fileType": "WORKSPACE_LOGO"}, 422),
        ({"fileType": "USER_AVATAR"}, 422),
        ({"fileType": "TASK_ATTACHMENT", "taskId": task["id"]}, 404),
        ({"fileType": "PROJECT_ASSET", "projectId": hidden["id"]}, 404),
        ({"fileType": "PROJECT_ASSET", "projectId": str(uuid4())}, 404),
        ({"fileType": "PROJECT_ASSET", "projectId": project["id"], "taskId": task["id"]}, 422),
    ):
        answer = await member.client.patch(path_of(file), json=body)
        assert answer.status_code == code, (body, answer.text)
    found = await read(member, file)
    assert (found["fileType"], found["version"]) == ("TEMPORARY_UPLOAD", file["version"])
    own = await uploaded(member, CONTENT)
    answer = await member.client.patch(path_of(own), json={"fileType": "PROJECT_ASSET", "projectId": project["id"]})
    assert refusal(answer) == (422, "not_a_place_for_files")


async def test_who_saw_it_where_it_was_is_told_that_it_is_gone(site: Site) -> None:
    member = await site.person(Role.MEMBER)
    project, hidden = await site.project(), await site.project(isPrivate=True)
    file = await uploaded(site.owner, CONTENT, projectId=project["id"], fileType="PROJECT_ASSET")
    assert await listed(member, workspaceId=site.id) == ["plan.txt"]
    answer = await site.owner.client.patch(
        path_of(file), json={"fileType": "PROJECT_ASSET", "projectId": hidden["id"]}
    )
    assert answer.status_code == 200, answer.text
    assert await listed(member, workspaceId=site.id) == []
    assert refusal(await member.client.get(path_of(file))) == (404, "file_not_found")
    assert (await changes_of(member, site.id))[-1] == ("removed", file["id"])
    assert (await changes_of(site.owner, site.id))[-1] == ("updated", file["id"])


async def test_only_the_uploader_and_who_manages_change_it(site: Site) -> None:
    ann, ben, admin = await site.person(Role.MEMBER), await site.person(Role.MEMBER), await site.person(Role.ADMIN)
    viewer = await site.person(Role.VIEWER)
    project = await site.project()
    file = await uploaded(ann, CONTENT, projectId=project["id"], fileType="PROJECT_ASSET")
    body = {"originalName": "bens.txt"}
    assert refusal(await ben.client.patch(path_of(file), json=body)) == (403, "not_the_uploader")
    assert refusal(await ben.client.delete(path_of(file))) == (403, "not_the_uploader")
    assert (await viewer.client.delete(path_of(file))).status_code == 403
    assert (await admin.client.patch(path_of(file), json=body)).status_code == 200
    assert (await ann.client.delete(path_of(file))).status_code == 204
    assert refusal(await ben.client.post(path_of(file, "/restore"))) == (403, "not_the_uploader")
    assert (await admin.client.post(path_of(file, "/restore"))).status_code == 200


async def test_what_may_be_done_while_a_file_is_still_on_its_way(site: Site) -> None:
    address = await tus_client.begun(site.owner, 10, workspaceId=str(site.id))
    coming = (await tus_client.upload_of(site.owner, address))["fileId"]
    file = await read(site.owner, {"id": coming})
    assert (file["uploadStatus"], file["allowedActions"]) == ("UPLOADING", ["RENAME", "PURGE"])
    for action in ("", "/content"):
        method = "GET" if action else "DELETE"
        answer = await site.owner.client.request(method, path_of(file, action))
        assert refusal(answer) == (409, "file_not_ready")
        assert "permanent=true" in answer.json()["detail"], "a person reads what to do about it"
    assert (await site.owner.client.delete(path_of(file), params={"permanent": True})).status_code == 204
    assert await listed(site.owner, workspaceId=site.id, status="UPLOADING") == []


async def test_what_came_to_nothing_is_deleted_and_goes_nowhere(site: Site) -> None:
    project = await site.project()
    place = {"projectId": project["id"], "fileType": "PROJECT_ASSET"}
    answer = await upload(site.owner, CONTENT, fields={"sha256": "0" * 64}, **place)
    assert refusal(answer) == (422, "checksum_mismatch")
    listing = await site.owner.client.get("/api/storage/files", params={"workspaceId": site.id, "status": "FAILED"})
    (failed,) = listing.json()["files"]
    assert failed["allowedActions"] == ["RENAME", "DELETE"]
    assert refusal(await site.owner.client.patch(path_of(failed), json=place)) == (409, "file_not_ready")
    assert (await site.owner.client.delete(path_of(failed))).status_code == 204


# --- the trash -----------------------------------------------------------------------------------------------------


async def test_the_trash_and_back(site: Site, platform: Platform) -> None:
    project = await site.project()
    file = await uploaded(site.owner, CONTENT, projectId=project["id"], fileType="PROJECT_ASSET")
    assert (await site.owner.client.delete(path_of(file))).status_code == 204
    row = await usage(platform, site.workspace["id"])
    assert row is not None
    assert (row.trash, row.project_assets) == (len(CONTENT), 0)
    gone = await read(site.owner, file)
    assert gone["deletedAt"] is not None
    assert gone["purgeAt"] > gone["deletedAt"]
    assert (gone["contentUrl"], gone["allowedActions"]) == (None, ["RESTORE", "PURGE"])
    assert refusal(await site.owner.client.get(file["contentUrl"])) == (409, "file_in_trash")
    assert refusal(await site.owner.client.delete(path_of(file))) == (409, "file_in_trash")
    assert refusal(await site.owner.client.patch(path_of(file), json={"originalName": "a.txt"})) == (
        409,
        "file_in_trash",
    )
    assert await listed(site.owner, workspaceId=site.id) == []
    assert await listed(site.owner, workspaceId=site.id, trashed="true") == ["plan.txt"]
    back = await site.owner.client.post(path_of(file, "/restore"))
    assert back.json()["file"]["deletedAt"] is None
    assert refusal(await site.owner.client.post(path_of(file, "/restore"))) == (409, "file_not_in_trash")
    assert (await site.owner.client.get(file["contentUrl"])).content == CONTENT
    row = await usage(platform, site.workspace["id"])
    assert row is not None
    assert (row.trash, row.project_assets) == (0, len(CONTENT))
    assert [one for one, _ in await changes_of(site.owner, site.id)] == ["created", "deleted", "restored"]


async def test_for_good_frees_its_room_at_once(person: Person, platform: Platform) -> None:
    kept = await uploaded(person, CONTENT, "one.txt")
    file = await uploaded(person, CONTENT, "two.txt")
    other = await uploaded(person, b"other bytes", "three.txt")
    for one in (file, other):
        assert (await person.client.delete(path_of(one), params={"permanent": "true"})).status_code == 204
        assert refusal(await person.client.get(path_of(one))) == (404, "file_not_found")
    assert await used(platform, person.id) == (len(CONTENT), 0), "what a second file shares stays"
    assert (await person.client.get(kept["contentUrl"])).content == CONTENT
    assert (await person.client.delete(path_of(kept))).status_code == 204
    assert (await person.client.delete(path_of(kept), params={"permanent": "true"})).status_code == 204
    assert await used(platform, person.id) == (0, 0)
    async with platform.database.reading() as session:
        assert (await session.scalars(select(StoredFile.id).where(StoredFile.user_id == person.id))).all() == []
        objects = await session.scalars(select(StoredObject.id).where(StoredObject.account_id == person.id))
        assert objects.all() == []
        doomed = await session.scalars(
            select(DoomedObject.key).where(
                DoomedObject.account_id == person.id, DoomedObject.reason == "nothing refers to it"
            )
        )
        assert len(doomed.all()) == 2


async def test_what_is_on_its_way_ends_with_the_file(person: Person, platform: Platform) -> None:
    file = await uploaded(person, CONTENT)
    begun = await person.client.post(
        "/api/storage/tus",
        params={"fileId": file["id"]},
        headers={"Tus-Resumable": "1.0.0", "Upload-Length": "1000"},
    )
    assert begun.status_code == 201, begun.text
    assert await used(platform, person.id) == (len(CONTENT), 1000)
    assert (await person.client.delete(path_of(file), params={"permanent": "true"})).status_code == 204
    assert await used(platform, person.id) == (0, 0)
    assert (await person.client.head(begun.headers["location"], headers={"Tus-Resumable": "1.0.0"})).status_code in (
        404,
        410,
    )


async def test_a_picture_is_changed_where_it_belongs(person: Person, platform: Platform) -> None:
    file = await uploaded(person, CONTENT)
    async with platform.database.transaction() as session:
        row = await session.get(StoredFile, file["id"])
        assert row is not None
        row.file_type = "USER_AVATAR"
    assert refusal(await person.client.delete(path_of(file))) == (409, "file_is_picture")
    assert refusal(await person.client.patch(path_of(file), json={"originalName": "a.txt"})) == (
        409,
        "file_is_picture",
    )
    assert (await read(person, file))["allowedActions"] == ["READ", "LINK"]


# --- lists ---------------------------------------------------------------------------------------------------------


async def test_lists_are_filtered_and_walked(site: Site) -> None:
    project, other = await site.project(), await site.project()
    task = await site.task(project)
    asset = {"fileType": "PROJECT_ASSET", "projectId": project["id"]}
    for number in range(5):
        await uploaded(site.owner, b"%d" % number, f"asset {number}.txt", **asset)
    await uploaded(site.owner, b"task", "notes.txt", fileType="TASK_ATTACHMENT", taskId=task["id"])
    await uploaded(site.owner, b"else", "else.txt", fileType="PROJECT_ASSET", projectId=other["id"])
    await uploaded(site.owner, b"mine", "mine.txt", workspaceId=site.id)
    await uploaded(site.owner, b"own", "own.txt")
    in_all = {"workspaceId": site.id}
    assert await listed(site.owner, **in_all) == [
        *("mine.txt", "else.txt", "notes.txt"),
        *(f"asset {number}.txt" for number in reversed(range(5))),
    ]
    assert await listed(site.owner, **in_all, taskId=task["id"]) == ["notes.txt"]
    assert len(await listed(site.owner, **in_all, projectId=project["id"])) == 6
    assert len(await listed(site.owner, **in_all, fileType="PROJECT_ASSET")) == 6
    assert await listed(site.owner, **in_all, fileType="TEMPORARY_UPLOAD") == ["mine.txt"]
    assert await listed(site.owner, **in_all, status="FAILED") == []
    assert await listed(site.owner, **in_all, q="notes") == ["notes.txt"]
    assert await listed(site.owner, **in_all, q="mine") == ["mine.txt"]
    assert len(await listed(site.owner, **in_all, q="asset")) == 5
    assert await listed(site.owner) == ["own.txt"]
    assert await listed(site.owner, q="OW") == ["own.txt"]


async def test_the_files_of_a_task_are_found_without_naming_its_workspace(site: Site, new_person: NewPerson) -> None:
    project, hidden = await site.project(), await site.project(isPrivate=True)
    task, secret = await site.task(project), await site.task(hidden)
    await uploaded(site.owner, b"task", "notes.txt", fileType="TASK_ATTACHMENT", taskId=task["id"])
    await uploaded(site.owner, b"plan", "plan.txt", fileType="PROJECT_ASSET", projectId=project["id"])
    await uploaded(site.owner, b"own", "own.txt")
    member, stranger = await site.person(Role.MEMBER), await new_person()
    for caller in (site.owner, member):
        assert await listed(caller, taskId=task["id"]) == ["notes.txt"]
        assert await listed(caller, projectId=project["id"]) == ["plan.txt", "notes.txt"]
        assert await listed(caller, projectId=project["id"], taskId=task["id"]) == ["notes.txt"]
    for caller, query in (
        (stranger, {"taskId": task["id"]}),
        (stranger, {"projectId": project["id"]}),
        (member, {"taskId": secret["id"]}),
        (member, {"projectId": hidden["id"]}),
        (site.owner, {"taskId": str(uuid4())}),
    ):
        answer = await caller.client.get("/api/storage/files", params=query)
        assert refusal(answer) == (404, "place_not_found"), query
    wrong = await site.owner.client.get("/api/storage/files", params={"taskId": "no-id"})
    assert refusal(wrong) == (422, "validation_failed")


async def test_a_cursor_is_of_its_list(site: Site) -> None:
    for number in range(3):
        await uploaded(site.owner, b"%d" % number, workspaceId=site.id)
    first = await site.owner.client.get("/api/storage/files", params={"workspaceId": site.id, "limit": 1})
    cursor = first.json()["nextCursor"]
    for query in ({}, {"workspaceId": site.id, "trashed": "true"}, {"workspaceId": site.id, "q": "plan"}):
        answer = await site.owner.client.get("/api/storage/files", params={**query, "cursor": cursor})
        assert refusal(answer) == (422, "invalid_cursor"), query
    assert (await site.owner.client.get("/api/storage/files", params={"limit": 201})).status_code == 422


async def test_it_is_found_by_its_name(site: Site, clock: MovableClock) -> None:
    project = await site.project()
    file = await uploaded(site.owner, CONTENT, "quokka.txt", projectId=project["id"], fileType="PROJECT_ASSET")

    async def found() -> list[str]:
        asked = {"workspaceId": site.id, "q": "quokka"}
        answer = await site.owner.client.get("/api/search", params=asked)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["results"] if one["kind"] == "file"]

    assert await found() == [file["id"]]
    await site.owner.client.delete(path_of(file))
    assert await found() == []
    await site.owner.client.post(path_of(file, "/restore"))
    assert await found() == [file["id"]]
    await site.owner.client.patch(path_of(file), json={"originalName": "wombat.txt"})
    assert await found() == []
