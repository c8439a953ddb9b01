"""Versions: each counts up, old ones are read, brought back and forgotten, and each byte is counted once."""

from typing import Any

import pytest

from pm_api.core.platform import Platform
from tests.conftest import Person
from tests.domains.storage.boxes import sha256, upload, uploaded, usage
from tests.domains.tasks.sites import refusal

Json = dict[str, Any]
FIRST, SECOND = b"first" * 10, b"second" * 20


@pytest.fixture
async def file(person: Person) -> Json:
    """With two versions."""
    made = await uploaded(person, FIRST, "plan.txt")
    await uploaded(person, SECOND, "new plan.txt", fileId=made["id"])
    return made


def path_of(file: Json, rest: str = "") -> str:
    return f"/api/storage/files/{file['id']}{rest}"


async def numbers(person: Person, file: Json, limit: int = 50) -> list[int]:
    found: list[int] = []
    cursor: Json = {}
    while True:
        answer = await person.client.get(path_of(file, "/versions"), params={"limit": limit, **cursor})
        assert answer.status_code == 200, answer.text
        found += [one["number"] for one in answer.json()["versions"]]
        if answer.json()["nextCursor"] is None:
            return found
        cursor = {"cursor": answer.json()["nextCursor"]}


async def counted(platform: Platform, person: Person) -> tuple[int, int]:
    """(in use, old versions)."""
    row = await usage(platform, person.id)
    assert row is not None
    return row.temporary_files, row.old_versions


async def test_both_are_listed_and_read(person: Person, file: Json) -> None:
    answer = await person.client.get(path_of(file, "/versions"))
    new, old = answer.json()["versions"]
    assert (new["number"], new["isCurrent"], new["originalName"]) == (2, True, "new plan.txt")
    assert (old["number"], old["isCurrent"], old["fileSize"]) == (1, False, len(FIRST))
    assert old["checksumSha256"] == sha256(FIRST)
    assert (await person.client.get(old["contentUrl"])).content == FIRST
    assert (await person.client.get(new["contentUrl"])).content == SECOND
    current = await person.client.get(path_of(file, "/content"))
    assert current.content == SECOND
    told = (await person.client.get(path_of(file))).json()["file"]
    assert (told["versionNumber"], told["originalName"], told["fileSize"]) == (2, "plan.txt", len(SECOND))


async def test_an_old_one_is_brought_back_as_a_new_one(person: Person, platform: Platform, file: Json) -> None:
    assert await counted(platform, person) == (len(SECOND), len(FIRST))
    answer = await person.client.post(path_of(file, "/versions/1/restore"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["file"]["versionNumber"] == 3
    assert (await person.client.get(path_of(file, "/content"))).content == FIRST
    assert await counted(platform, person) == (len(FIRST), len(SECOND)), "the bytes are there: nothing is added"
    assert await numbers(person, file, limit=1) == [3, 2, 1]
    assert refusal(await person.client.post(path_of(file, "/versions/3/restore"))) == (409, "version_in_use")


async def test_an_old_one_is_forgotten_and_its_number_is_not_used_again(
    person: Person, platform: Platform, file: Json
) -> None:
    assert refusal(await person.client.delete(path_of(file, "/versions/2"))) == (409, "version_in_use")
    assert (await person.client.delete(path_of(file, "/versions/1"))).status_code == 204
    assert refusal(await person.client.delete(path_of(file, "/versions/1"))) == (404, "version_not_found")
    assert refusal(await person.client.get(path_of(file, "/versions/1/content"))) == (404, "version_not_found")
    assert await counted(platform, person) == (len(SECOND), 0)
    await uploaded(person, FIRST, fileId=file["id"])
    assert await numbers(person, file) == [3, 2]


async def test_bytes_that_come_again_are_counted_once(person: Person, platform: Platform, file: Json) -> None:
    await uploaded(person, SECOND, fileId=file["id"])
    assert await counted(platform, person) == (len(SECOND), len(FIRST))
    assert (await person.client.delete(path_of(file, "/versions/2"))).status_code == 204
    assert await counted(platform, person) == (len(SECOND), len(FIRST)), "what the third one refers to stays"
    assert (await person.client.get(path_of(file, "/content"))).content == SECOND


async def test_the_same_bytes_are_what_each_file_and_version_says_they_are(person: Person, file: Json) -> None:
    """The name decides between kinds of text, and the bytes are stored once."""
    listed = await uploaded(person, FIRST, "plan.csv", fileId=file["id"])
    assert listed["mimeType"] == "text/csv"
    answer = await person.client.get(path_of(file, "/content"))
    assert answer.headers["content-type"].partition(";")[0] == "text/csv"
    versions = (await person.client.get(path_of(file, "/versions"))).json()["versions"]
    assert [one["mimeType"] for one in versions] == ["text/csv", "text/plain", "text/plain"]
    old = await person.client.get(path_of(file, "/versions/1/content"))
    assert old.headers["content-type"].partition(";")[0] == "text/plain"
    back = (await person.client.post(path_of(file, "/versions/1/restore"))).json()["file"]
    assert back["mimeType"] == "text/plain"
    other = await upload(person, FIRST, "plan.md")
    assert other.json()["receipt"]["mimeType"] == other.json()["file"]["mimeType"] == "text/markdown"


async def test_stale_hands_change_nothing(person: Person, file: Json) -> None:
    stale = {"If-Match": '"1"'}
    for method, rest in (("POST", "/versions/1/restore"), ("DELETE", "/versions/1")):
        assert (await person.client.request(method, path_of(file, rest), headers=stale)).status_code == 412
    assert await numbers(person, file) == [2, 1]
    for number in ("0", "-1", "x", "99999999999999999999"):
        assert (await person.client.delete(path_of(file, f"/versions/{number}"))).status_code == 422


async def test_in_the_trash_nothing_is_read_or_changed(person: Person, platform: Platform, file: Json) -> None:
    assert (await person.client.delete(path_of(file))).status_code == 204
    row = await usage(platform, person.id)
    assert row is not None
    assert row.trash == row.total_used == len(FIRST) + len(SECOND)
    for method, rest in (
        ("GET", "/versions/1/content"),
        ("POST", "/versions/1/restore"),
        ("DELETE", "/versions/1"),
    ):
        assert refusal(await person.client.request(method, path_of(file, rest))) == (409, "file_in_trash")
    assert all(
        one["contentUrl"] is None for one in (await person.client.get(path_of(file, "/versions"))).json()["versions"]
    )
