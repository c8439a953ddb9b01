"""Files that go with messages: who sees them, and what becomes of them."""

import asyncio
import io
import zipfile
from uuid import UUID

import httpx
import pytest

from pm_api.core.platform import Platform
from pm_api.domains.storage.models import StorageUsage
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.messages.talking import (
    NOWHERE,
    a_group,
    a_place,
    a_project,
    create,
    direct,
    listed,
    message_path,
    path_of,
    refusal,
    say,
    some_people,
    try_to_say,
)
from tests.domains.messages.test_messages import statements_of
from tests.domains.storage.boxes import upload, uploaded
from tests.identity.teams import join

FILES = "/api/storage/files"


async def a_file(person: Person, place: str, content: bytes = b"secret plan", name: str = "secret.txt") -> str:
    return str((await uploaded(person, content, name, workspaceId=place))["id"])


async def usage_of(platform: Platform, place: str) -> tuple[int, int, int]:
    async with platform.database.reading() as session:
        row = await session.get(StorageUsage, UUID(place))
        assert row is not None
        return row.message_attachments, row.temporary_files, row.trash


async def ways_to(person: Person, place: str, file_id: str) -> set[str]:
    """In which ways somebody comes to know of a file."""
    client, of, found = person.client, {"workspaceId": place}, set()
    for way in ("", "/content", "/versions", "/links"):
        found |= {way or "file"} if (await client.get(f"{FILES}/{file_id}{way}")).status_code == 200 else set()
    found |= {"link"} if (await client.post(f"{FILES}/{file_id}/link", json={})).status_code == 201 else set()
    zipped = await client.post(f"{FILES}:zip", params=of, json={"fileIds": [file_id]})
    if zipped.status_code == 200 and zipfile.ZipFile(io.BytesIO(zipped.content)).namelist():
        found.add("zip")
    for way, path, query in (
        ("list", FILES, {}),
        ("trash", FILES, {"trashed": "true"}),
        ("search", "/api/search", {"q": "secret"}),
        ("usage", "/api/storage/usage", {}),
    ):
        if file_id in (await client.get(path, params={**of, **query})).text:
            found.add(way)
    return found


EVERY_WAY = {"file", "/content", "/versions", "/links", "link", "zip", "list", "search", "usage"}


@pytest.fixture
async def two(platform: Platform, new_person: NewPerson) -> tuple[str, Person, Person]:
    ann, bob = await some_people(new_person, "Ann", "Bob")
    return await a_place(platform, ann, bob), ann, bob


@pytest.mark.parametrize("role", [Role.VIEWER, Role.GUEST])
async def test_who_only_reads_in_the_workspace_sends_files_where_they_speak(
    platform: Platform, two: tuple[str, Person, Person], new_person: NewPerson, role: Role
) -> None:
    place, ann, _bob = two
    [vera] = await some_people(new_person, "Vera")
    await join(platform, place, vera, role)
    refused = await upload(vera, b"secret plan", "secret.txt", workspaceId=place)
    assert refusal(refused) == (403, "forbidden"), "they write nowhere yet"
    talk = await direct(ann, place, vera)
    file_id = await a_file(vera, place)
    for other in ({"fileType": "TASK_ATTACHMENT"}, {"fileType": "PROJECT_ASSET"}):
        assert (await upload(vera, b"x", "x.txt", workspaceId=place, **other)).status_code == 403
    said = await say(vera, talk, fileIds=[file_id])
    assert [one["id"] for one in said["attachments"]] == [file_id]
    assert (await ann.client.get(f"{FILES}/{file_id}/content")).content == b"secret plan"


async def test_a_message_brings_its_files_and_who_sees_it_sees_them(
    platform: Platform, two: tuple[str, Person, Person], new_person: NewPerson
) -> None:
    place, ann, bob = two
    [cid] = await some_people(new_person, "Cid")
    talk = await a_group(ann, place, bob)
    file_id = await a_file(bob, place)
    assert await usage_of(platform, place) == (0, 11, 0)
    said = await say(bob, talk, fileIds=[file_id])
    [shown] = said["attachments"]
    assert shown == {
        "id": file_id,
        "originalName": "secret.txt",
        "fileSize": 11,
        "mimeType": "text/plain",
        "uploadStatus": "COMPLETED",
        "contentUrl": f"{FILES}/{file_id}/content",
        "thumbnailUrl": None,
    }
    assert (await listed(ann, talk))["messages"][0]["attachments"] == [shown]
    file = (await ann.client.get(f"{FILES}/{file_id}")).json()["file"]
    assert (file["fileType"], file["messageId"], file["isTemporary"]) == ("MESSAGE_ATTACHMENT", said["id"], False)
    assert (await ann.client.get(shown["contentUrl"])).content == b"secret plan"
    assert await usage_of(platform, place) == (11, 0, 0)
    for one in (ann, bob):
        assert await ways_to(one, place, file_id) == EVERY_WAY
    link = (await bob.client.post(f"{FILES}/{file_id}/link", json={})).json()["link"]["url"]
    assert (await ann.client.get(link)).status_code == 200
    told = await ann.client.get("/api/changes", params={"workspaceId": place, "limit": 200})
    assert file_id in told.text
    # Put out of the conversation, not even who sent it sees it there any more, and links of theirs are dead.
    assert (await ann.client.delete(path_of(talk, f"/members/{bob.id}"))).status_code == 204
    assert await ways_to(bob, place, file_id) == set()
    assert (await ann.client.get(link)).status_code == 404
    assert await ways_to(cid, place, file_id) == set()


async def test_what_is_taken_back_takes_its_files_along(platform: Platform, two: tuple[str, Person, Person]) -> None:
    place, ann, bob = two
    talk = await a_group(ann, place, bob)
    kept, thrown = await a_file(bob, place), await a_file(bob, place, b"another", "secret-2.txt")
    said = await say(bob, talk, fileIds=[kept, thrown])
    edited = await bob.client.patch(message_path(said), json={"body": "Otherwise"})
    assert [one["id"] for one in edited.json()["message"]["attachments"]] == [kept, thrown]
    before = edited.json()["message"]["version"]
    assert (await bob.client.delete(f"{FILES}/{thrown}")).status_code == 204
    answer = await ann.client.get(message_path(said))
    now = answer.json()["message"]
    assert ([one["id"] for one in now["attachments"]], now["version"]) == ([kept], before + 1)
    named = await bob.client.patch(f"{FILES}/{kept}", json={"originalName": "other.txt"})
    assert named.status_code == 200
    again = await ann.client.get(message_path(said), headers={"If-None-Match": answer.headers["etag"]})
    assert again.json()["message"]["attachments"][0]["originalName"] == "other.txt"
    assert (await bob.client.post(f"{FILES}/{thrown}/restore")).status_code == 200
    assert len((await listed(ann, talk))["messages"][0]["attachments"]) == 2
    # Ann manages the group: what she deletes of Bob's goes into his trash.
    assert (await ann.client.delete(message_path(said))).status_code == 204
    assert (await listed(ann, talk))["messages"][0]["attachments"] == []
    assert await usage_of(platform, place) == (0, 0, 18)
    for file_id in (kept, thrown):
        assert await ways_to(ann, place, file_id) == set()
        assert await ways_to(bob, place, file_id) == {"file", "/versions", "/links", "trash", "usage"}
    back = (await bob.client.post(f"{FILES}/{kept}/restore")).json()["file"]
    assert (back["fileType"], back["isTemporary"], back["messageId"]) == ("TEMPORARY_UPLOAD", True, None)
    assert back["expiresAt"] is not None
    await say(bob, talk, "Once more", fileIds=[kept])


async def test_what_is_refused(
    platform: Platform, two: tuple[str, Person, Person], client: httpx.AsyncClient, new_person: NewPerson
) -> None:
    place, ann, bob = two
    talk = await a_group(ann, place, bob)
    theirs, own = await a_file(bob, place), await a_file(ann, place)
    elsewhere = (await uploaded(ann, b"own", "own.txt"))["id"]
    for file_id in (theirs, elsewhere, str(NOWHERE)):
        assert refusal(await try_to_say(ann, talk, fileIds=[file_id])) == (404, "file_not_found")
    for wanted in ([own, own], ["x"], [str(UUID(int=one)) for one in range(11)]):
        assert (await try_to_say(ann, talk, fileIds=wanted)).status_code == 422
    await say(ann, talk, fileIds=[own])
    assert refusal(await try_to_say(ann, talk, fileIds=[own])) == (409, "file_has_place")
    assert refusal(await try_to_say(bob, talk, fileIds=[own]))[0] in (403, 409)
    thrown = await a_file(ann, place)
    await ann.client.delete(f"{FILES}/{thrown}")
    assert refusal(await try_to_say(ann, talk, fileIds=[thrown])) == (409, "file_in_trash")
    answer = await upload(ann, b"x", workspaceId=place, fileType="MESSAGE_ATTACHMENT")
    assert refusal(answer) == (422, "not_a_place_for_files")
    answer = await ann.client.patch(f"{FILES}/{await a_file(ann, place)}", json={"fileType": "MESSAGE_ATTACHMENT"})
    assert refusal(answer) == (422, "not_a_place_for_files")
    assert len((await listed(ann, talk))["messages"]) == 1  # nothing is half posted
    assert refusal(await bob.client.delete(f"{FILES}/{own}")) == (403, "not_the_uploader")


async def test_an_archived_place_keeps_its_files_as_they_are(
    platform: Platform, two: tuple[str, Person, Person]
) -> None:
    place, ann, bob = two
    project = await a_project(platform, place, ann, bob)
    channel = await create(ann, place, "CHANNEL", projectId=str(project.id))
    file_id, thrown = await a_file(bob, place), await a_file(bob, place, b"another")
    said = await say(bob, channel, fileIds=[file_id, thrown])
    assert (await bob.client.delete(f"{FILES}/{thrown}")).status_code == 204
    in_project = await ann.client.get(FILES, params={"workspaceId": place, "projectId": str(project.id)})
    assert file_id in in_project.text

    async def answers() -> set[tuple[int, str]]:
        return {
            refusal(await bob.client.patch(f"{FILES}/{file_id}", json={"originalName": "x.txt"})),
            refusal(await bob.client.delete(f"{FILES}/{file_id}")),
            refusal(await bob.client.post(f"{FILES}/{thrown}/restore")),
            refusal(await upload(bob, b"anew", fileId=file_id)),
        }

    async def offered() -> list[str]:
        actions: list[str] = (await bob.client.get(f"{FILES}/{file_id}")).json()["file"]["allowedActions"]
        return actions

    in_use = await offered()
    await ann.client.post(path_of(channel, "/archive"))
    assert await answers() == {(409, "conversation_archived")}
    assert await offered() == ["READ", "LINK"]
    await ann.client.post(path_of(channel, "/restore"))
    assert "RENAME" in in_use
    assert await offered() == in_use
    await ann.client.post(f"/api/projects/{project.id}/archive")
    assert await answers() == {(409, "project_archived")}
    assert await offered() == ["READ", "LINK"]
    await ann.client.post(f"/api/projects/{project.id}/restore")
    assert (await ann.client.delete(f"/api/projects/{project.id}")).status_code == 204
    assert await ways_to(bob, place, file_id) == set()
    await ann.client.post(f"/api/projects/{project.id}/restore")
    assert (await bob.client.get(message_path(said))).json()["message"]["attachments"][0]["id"] == file_id


async def test_of_messages_that_want_a_file_at_once_one_has_it(
    platform: Platform, two: tuple[str, Person, Person]
) -> None:
    place, ann, bob = two
    talk = await a_group(ann, place, bob)
    first = await say(bob, talk)
    file_id = await a_file(ann, place)
    answers = await asyncio.gather(
        *(try_to_say(ann, talk, str(one), fileIds=[file_id], parentId=first["id"]) for one in range(4))
    )
    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409]
    assert (await bob.client.get(message_path(first))).json()["message"]["replyCount"] == 1


async def test_answers_with_files_and_deletions_at_once_wait_for_each_other_in_one_order(
    platform: Platform, two: tuple[str, Person, Person]
) -> None:
    place, ann, bob = two
    talk = await a_group(ann, place, bob)
    parents = [await say(ann, talk, fileIds=[await a_file(ann, place, b"%d" % one)]) for one in range(3)]
    files = [await a_file(bob, place, b"of %d" % one) for one in range(3)]
    answers = await asyncio.gather(
        *(ann.client.delete(message_path(one)) for one in parents),
        *(
            try_to_say(bob, talk, fileIds=[file_id], parentId=one["id"])
            for one, file_id in zip(parents, files, strict=True)
        ),
        *(ann.client.delete(f"{FILES}/{one['attachments'][0]['id']}") for one in parents),
    )
    assert {one.status_code for one in answers} <= {201, 204, 404, 409}
    assert [one.status_code for one in answers[:6]] == [204] * 3 + [201] * 3


async def test_a_page_costs_as_many_queries_with_files(platform: Platform, two: tuple[str, Person, Person]) -> None:
    place, ann, _bob = two
    many, one = await a_group(ann, place), await a_group(ann, place)
    for number in range(4):
        file_ids = [await a_file(ann, place, b"%d" % number), await a_file(ann, place, b"%d too" % number)]
        await say(ann, many, fileIds=file_ids)
    await say(ann, one, fileIds=[await a_file(ann, place)])
    queries = {"conversationId": many["id"]}, {"conversationId": one["id"]}
    await statements_of(platform, ann, "/api/messages", queries[0])
    counts = [await statements_of(platform, ann, "/api/messages", query) for query in queries]
    assert counts[0] == counts[1]
