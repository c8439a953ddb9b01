"""Several files as one archive, written while it is read."""

import io
import json
import random
import zipfile
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from pm_api.core.platform import Platform
from pm_api.domains.storage import archives
from pm_api.integrations.blobs import BlobDoor
from tests.conftest import NewPerson, Person
from tests.domains.storage.boxes import uploaded
from tests.domains.storage.breaking import broken_off, place_of
from tests.domains.storage.scanned import object_of
from tests.domains.tasks.sites import Site, open_site, refusal

Json = dict[str, Any]
ZIP = "/api/storage/files:zip"


@pytest.fixture
async def site(platform: Platform, new_person: NewPerson) -> Site:
    return await open_site(platform, new_person)


def ids(*files: Json) -> Json:
    return {"fileIds": [one["id"] for one in files]}


async def test_what_comes_out_is_what_went_in(person: Person) -> None:
    large = bytes(range(256)) * 20_000  # five pieces of the store's
    one = await uploaded(person, large, "large.bin")
    two = await uploaded(person, b"", "empty.txt")
    three = await uploaded(person, b"words", "日本.txt")
    answer = await person.client.post(ZIP, json={**ids(one, two, three), "name": "launch.zip"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="launch.zip"'
    assert "content-length" not in answer.headers, "nobody knows it before it is written"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == ["large.bin", "empty.txt", "日本.txt"]
        assert [opened.read(name) for name in opened.namelist()] == [large, b"", b"words"]


async def test_one_that_is_not_there_and_there_is_none_at_all(
    client: httpx.AsyncClient, new_person: NewPerson, person: Person
) -> None:
    file = await uploaded(person, b"words")
    for body in ({"fileIds": [file["id"], str(uuid4())]}, {"fileIds": [str(uuid4())]}):
        assert refusal(await person.client.post(ZIP, json=body)) == (404, "file_not_found")
    other = await new_person()
    assert refusal(await other.client.post(ZIP, json=ids(file))) == (404, "file_not_found")
    assert (await client.post(ZIP, json=ids(file))).status_code == 401
    assert (await person.client.post(ZIP, json={"fileIds": []})).status_code == 422
    foreign = await person.client.post(ZIP, json={**ids(file), "workspaceId": str(uuid4())})
    assert refusal(foreign) == (404, "workspace_not_found")


async def test_files_of_a_workspace_need_its_name(site: Site) -> None:
    file = await uploaded(site.owner, b"words", workspaceId=site.id)
    answer = await site.owner.client.post(ZIP, json=ids(file))
    assert refusal(answer) == (404, "file_not_found")
    assert "workspaceId" in answer.json()["detail"], "the file is in sight, so the detail says what is missing"
    named = await site.owner.client.post(ZIP, json={**ids(file), "workspaceId": site.id})
    assert named.status_code == 200, named.text


async def test_what_is_not_served_is_named(person: Person) -> None:
    kept, gone = await uploaded(person, b"one"), await uploaded(person, b"two")
    await person.client.delete(f"/api/storage/files/{gone['id']}")
    answer = await person.client.post(ZIP, json=ids(kept, gone))
    assert refusal(answer) == (409, "file_not_ready")
    assert answer.json()["fileIds"] == [gone["id"]]


async def test_all_of_them_together_have_a_limit(person: Person, monkeypatch: Any) -> None:
    monkeypatch.setattr(archives, "MOST_BYTES", 5)
    one, two = await uploaded(person, b"one"), await uploaded(person, b"two")
    answer = await person.client.post(ZIP, json=ids(one, two))
    assert refusal(answer) == (409, "zip_too_large")
    assert (answer.json()["limit"], answer.json()["needed"]) == (5, 6)
    assert (await person.client.post(ZIP, json=ids(one))).status_code == 200


async def test_those_whose_bytes_are_lost_or_cut_short_are_named(platform: Platform, person: Person) -> None:
    kept, lost, cut = [await uploaded(person, one) for one in (b"one", b"second", b"third")]
    await platform.part(BlobDoor).delete((await object_of(platform, lost)).key)
    await platform.part(BlobDoor).put((await object_of(platform, cut)).key, b"thi")
    answer = await person.client.post(ZIP, json=ids(kept, lost, cut))
    assert refusal(answer) == (410, "file_gone")
    assert answer.json()["fileIds"] == [lost["id"], cut["id"]]
    assert (await person.client.post(ZIP, json=ids(kept))).status_code == 200


async def test_an_archive_whose_bytes_end_too_soon_is_broken_off_and_nothing_is_raised(
    app: FastAPI, platform: Platform, person: Person
) -> None:
    large = await uploaded(person, random.Random(1).randbytes(4 << 20), "noise.bin")
    place = place_of(platform, (await object_of(platform, large)).key)

    def cut() -> None:
        with place.open("r+b") as opened:
            opened.truncate(3 << 20)

    body = json.dumps(ids(large)).encode()
    with capture_logs() as said:
        status, came = await broken_off(app, person, ZIP, cut, method="POST", content=body)
    assert (status, came > 0) == (200, True)
    assert [one["event"] for one in said if one["log_level"] == "error"] == ["stored_bytes_damaged"]
