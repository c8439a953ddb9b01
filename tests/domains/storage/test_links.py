"""Links: they lead to the file for as long as they may, and die at once."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from pm_api.core.crypto import decode_url, encode_url
from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.storage.boxes import sha256, uploaded
from tests.domains.tasks.sites import open_site, refusal
from tests.support.clock import MovableClock

Json = dict[str, Any]
CONTENT = b"What the plan says."
NOWHERE = (404, "link_not_found")


@pytest.fixture
async def file(person: Person) -> Json:
    return await uploaded(person, CONTENT)


def path_of(file: Json, rest: str = "") -> str:
    return f"/api/storage/files/{file['id']}{rest}"


async def link(person: Person, file: Json, **wanted: Any) -> Json:
    answer = await person.client.post(path_of(file, "/link"), json=wanted)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()["link"]
    listed = await person.client.get(answer.headers["location"])
    assert made["id"] in [one["id"] for one in listed.json()["links"]]
    return made


async def follow(client: httpx.AsyncClient, made: Json, **headers: str) -> httpx.Response:
    return await client.get(made["url"], headers=headers)


async def test_whoever_has_it_reads_the_file(client: httpx.AsyncClient, person: Person, file: Json) -> None:
    made = await link(person, file)
    answer = await follow(client, made)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-disposition"] == 'attachment; filename="plan.txt"'
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.headers["etag"] == f'"{sha256(CONTENT)}"'
    part = await follow(client, made, Range="bytes=0-3")
    assert (part.status_code, part.content) == (206, CONTENT[:4])
    assert (await client.head(made["url"])).headers["content-length"] == str(len(CONTENT))
    shown = await follow(client, await link(person, file, disposition="inline"))
    assert shown.headers["content-disposition"].startswith("inline")


async def test_it_lives_five_minutes_unless_it_is_said_otherwise(
    client: httpx.AsyncClient, person: Person, file: Json, clock: MovableClock
) -> None:
    short, long = await link(person, file), await link(person, file, expiresIn=3600)
    clock.advance(seconds=270)  # the clock goes on by itself, too
    assert (await follow(client, short)).status_code == 200
    clock.advance(seconds=31)
    assert refusal(await follow(client, short)) == NOWHERE
    assert (await follow(client, long)).status_code == 200
    clock.advance(seconds=3600)
    assert refusal(await follow(client, long)) == NOWHERE


async def test_business_time_does_not_lengthen_it(
    client: httpx.AsyncClient, person: Person, file: Json, clock: MovableClock
) -> None:
    made = await link(person, file)
    clock.advance(seconds=301)
    clock.advance_business(days=-30)
    assert refusal(await follow(client, made)) == NOWHERE


@pytest.mark.parametrize("wanted", [{"expiresIn": 0}, {"expiresIn": 604801}, {"expiresIn": "300"}, {"expires": 3}])
async def test_a_life_that_is_none_is_refused(person: Person, file: Json, wanted: Json) -> None:
    assert (await person.client.post(path_of(file, "/link"), json=wanted)).status_code == 422


async def test_a_revoked_one_dies_at_once(client: httpx.AsyncClient, person: Person, file: Json) -> None:
    made, other = await link(person, file), await link(person, file)
    for _ in range(2):  # a second time changes nothing
        assert (await person.client.delete(path_of(file, f"/links/{made['id']}"))).status_code == 204
        assert refusal(await follow(client, made)) == NOWHERE
    assert (await follow(client, other)).status_code == 200
    listed = (await person.client.get(path_of(file, "/links"))).json()["links"]
    assert [(one["id"], one["url"]) for one in listed] == [(other["id"], other["url"])]


async def test_it_dies_with_its_file_and_stays_dead(client: httpx.AsyncClient, person: Person, file: Json) -> None:
    made = await link(person, file)
    assert (await person.client.delete(path_of(file))).status_code == 204
    assert refusal(await follow(client, made)) == NOWHERE
    assert refusal(await person.client.post(path_of(file, "/link"), json={})) == (409, "file_in_trash")
    assert (await person.client.post(path_of(file, "/restore"))).status_code == 200
    assert refusal(await follow(client, made)) == NOWHERE
    assert (await follow(client, await link(person, file))).status_code == 200
    assert (await person.client.delete(path_of(file), params={"permanent": "true"})).status_code == 204
    assert refusal(await follow(client, made)) == NOWHERE


async def test_no_letter_of_it_may_be_changed(client: httpx.AsyncClient, person: Person, file: Json) -> None:
    made = await link(person, file)
    address, token = made["url"].rsplit("/", 1)
    raw = bytearray(decode_url(token))
    for place in range(len(raw)):
        altered = bytes([*raw[:place], raw[place] ^ 1, *raw[place + 1 :]])
        assert (await client.get(f"{address}/{encode_url(altered)}")).status_code == 404, place
    for shorter in (token[:-4], token + "AAAA", ""):
        assert (await client.get(f"{address}/{shorter}")).status_code == 404


async def test_a_new_version_is_what_it_leads_to(client: httpx.AsyncClient, person: Person, file: Json) -> None:
    made = await link(person, file)
    await uploaded(person, b"What it says now.", fileId=file["id"])
    assert (await follow(client, made)).content == b"What it says now."


async def test_it_dies_when_who_made_it_does_not_see_the_file_any_more(
    client: httpx.AsyncClient, platform: Platform, new_person: NewPerson
) -> None:
    site = await open_site(platform, new_person)
    guest = await site.person(Role.GUEST)
    project = await site.project(isPrivate=True)
    await site.put(project, guest, "MEMBER")
    place = {"projectId": project["id"], "fileType": "PROJECT_ASSET"}
    file = await uploaded(site.owner, CONTENT, **place)
    made, kept = await link(guest, file, expiresIn=3600), await link(site.owner, file, expiresIn=3600)
    assert (await follow(client, made)).status_code == 200
    removed = await site.owner.client.delete(f"/api/projects/{project['id']}/members/{guest.id}")
    assert removed.status_code in (200, 204), removed.text
    assert refusal(await follow(client, made)) == NOWHERE
    assert (await follow(client, kept)).status_code == 200
    await site.delete_project(project)
    assert refusal(await follow(client, kept)) == NOWHERE


async def test_links_of_others_are_told_without_their_address_and_revoked_by_who_manages(
    client: httpx.AsyncClient, platform: Platform, new_person: NewPerson
) -> None:
    site = await open_site(platform, new_person)
    viewer, member = await site.person(Role.VIEWER), await site.person(Role.MEMBER)
    project = await site.project()
    file = await uploaded(site.owner, CONTENT, projectId=project["id"], fileType="PROJECT_ASSET")
    made = await link(viewer, file)
    seen = (await site.owner.client.get(path_of(file, "/links"))).json()["links"]
    assert [(one["id"], one["url"]) for one in seen] == [(made["id"], None)]
    assert (await member.client.get(path_of(file, "/links"))).json()["links"] == []
    assert refusal(await member.client.delete(path_of(file, f"/links/{made['id']}"))) == NOWHERE
    assert (await follow(client, made)).status_code == 200
    assert (await site.owner.client.delete(path_of(file, f"/links/{made['id']}"))).status_code == 204
    assert refusal(await follow(client, made)) == NOWHERE


async def test_whose_file_it_is_not_makes_no_link(
    new_person: NewPerson, client: httpx.AsyncClient, file: Json
) -> None:
    other = await new_person()
    assert refusal(await other.client.post(path_of(file, "/link"), json={})) == (404, "file_not_found")
    assert refusal(await other.client.get(path_of(file, "/links"))) == (404, "file_not_found")
    assert refusal(await other.client.delete(path_of(file, f"/links/{uuid4()}"))) == (404, "file_not_found")
    assert (await client.post(path_of(file, "/link"), json={})).status_code == 401


async def test_a_file_has_at_most_a_hundred(person: Person, file: Json) -> None:
    for _ in range(100):
        await link(person, file)
    assert refusal(await person.client.post(path_of(file, "/link"), json={})) == (409, "too_many_links")
