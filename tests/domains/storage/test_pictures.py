"""Avatars, logos and thumbnails."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import httpx
import pytest
from PIL import Image
from sqlalchemy import select

from pm_api.core.platform import Platform
from pm_api.domains.storage import pictures
from pm_api.domains.storage.enums import FileType
from pm_api.domains.storage.imaging import Studio
from pm_api.domains.storage.leases import Leases, Patience
from pm_api.domains.storage.models import ObjectRendition, StorageUsage, StoredFile, StoredObject
from pm_api.identity.permissions import Role
from pm_api.integrations.blobs import BlobDoor
from tests.conftest import NewPerson, Person
from tests.domains.storage.boxes import uploaded
from tests.domains.storage.painting import SECRET, alpha, bomb, encoded, near, opened, painted, photograph
from tests.domains.team.inviting import a_team
from tests.identity.teams import join
from tests.support.clock import MovableClock

Json = dict[str, Any]
AVATAR = "/api/user/avatar"
NOWHERE = UUID(int=1)


async def wear(person: Person, content: bytes | None = None, path: str = AVATAR) -> httpx.Response:
    picture = encoded(painted(300, 200)) if content is None else content
    return await person.client.post(path, files={"file": ("me.png", picture, "image/png")})


async def worn(person: Person, content: bytes | None = None, path: str = AVATAR) -> str:
    """The address of a picture put on."""
    answer = await wear(person, content, path)
    assert answer.status_code == 201, answer.text
    url: str = answer.json()["picture"]["url"]
    assert answer.headers["location"] == url
    return url


async def looked_at(person: Person, url: str, size: int | None = None) -> httpx.Response:
    """As anybody does, without a token."""
    return await person.client.get(url, params={"size": size} if size else {}, headers={"Authorization": ""})


def refusal(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    code: str = answer.json()["code"]
    return code


async def files_of(platform: Platform, account_id: UUID, file_type: FileType) -> list[StoredFile]:
    async with platform.database.reading() as session:
        rows = await session.scalars(
            select(StoredFile)
            .where(StoredFile.account_id == account_id, StoredFile.file_type == file_type)
            .order_by(StoredFile.id)
        )
        return list(rows)


async def usage_of(platform: Platform, account_id: UUID) -> StorageUsage:
    async with platform.database.reading() as session:
        found = await session.get(StorageUsage, account_id)
        assert found is not None
        return found


# --- avatars -------------------------------------------------------------------------------------------------------


async def test_a_picture_is_put_on_and_everybody_may_look_at_it(person: Person, platform: Platform) -> None:
    answer = await wear(person, photograph(300, 200, orientation=6))
    assert answer.status_code == 201, answer.text
    picture = answer.json()["picture"]
    assert (picture["width"], picture["height"]) == (200, 200)
    assert picture["url"].startswith(f"{platform.settings.public_url}/api/storage/pictures/")
    for size in (None, 32, 64, 128, 512):
        seen = await looked_at(person, picture["url"], size)
        assert seen.status_code == 200, seen.text
        assert seen.headers["content-type"] == "image/webp"
        assert seen.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert seen.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in seen.headers["content-security-policy"]
        assert SECRET.encode() not in seen.content
        image = opened(seen.content)
        assert image.size == (min(size or 256, 200),) * 2
        assert not image.getexif()
    known = await person.client.get(
        picture["url"], headers={"If-None-Match": seen.headers["etag"]}, params={"size": 512}
    )
    assert known.status_code == 304
    assert known.content == b""


async def test_it_is_sent_as_it_is_or_in_a_form(person: Person) -> None:
    content = encoded(painted())
    for media_type in (
        "image/png",
        "image/jpeg",
        "application/octet-stream",
    ):  # what it says it is counts for nothing
        answer = await person.client.post(AVATAR, content=content, headers={"Content-Type": media_type})
        assert answer.status_code == 201, answer.text
    assert (await wear(person, content)).status_code == 201


async def test_another_one_takes_its_place_at_once(person: Person, platform: Platform) -> None:
    first = await worn(person)
    second = await worn(person, encoded(painted(100, 100)))
    assert first != second
    assert refusal(await looked_at(person, first), 404) == "picture_not_found"
    assert (await looked_at(person, second)).status_code == 200
    assert (await person.client.get("/api/user/profile")).json()["profile"]["avatar"] == second
    [row] = await files_of(platform, person.id, FileType.USER_AVATAR)
    usage = await usage_of(platform, person.id)
    assert (usage.user_avatars, usage.trash, usage.reserved) == (row.size_bytes, 0, 0)


async def test_the_same_picture_again_is_stored_once(person: Person, platform: Platform) -> None:
    content = encoded(painted())
    first, second = await worn(person, content), await worn(person, content)
    assert first != second
    assert (await looked_at(person, second, 64)).status_code == 200
    [row] = await files_of(platform, person.id, FileType.USER_AVATAR)
    usage = await usage_of(platform, person.id)
    assert (usage.user_avatars, usage.total_used) == (row.size_bytes, row.size_bytes)


@pytest.mark.parametrize("size", [128, 512], ids=["made-small", "as-it-is"])
async def test_whoever_misses_a_lost_picture_sends_it_again(person: Person, platform: Platform, size: int) -> None:
    content = encoded(painted())
    url = await worn(person, content)
    async with platform.database.reading() as session:
        keys = [*await session.scalars(select(StoredObject.key).where(StoredObject.account_id == person.id))]
        made = select(ObjectRendition.key).join(StoredObject, StoredObject.id == ObjectRendition.object_id)
        keys += await session.scalars(made.where(StoredObject.account_id == person.id))
    await platform.part(BlobDoor).delete(*keys)
    assert refusal(await looked_at(person, url, size), 404) == "picture_not_found"
    again = await worn(person, content)
    for side in (None, size, 512):
        assert (await looked_at(person, again, side)).status_code == 200


async def test_it_is_taken_off(person: Person, platform: Platform) -> None:
    url = await worn(person)
    for _ in range(2):  # twice is once
        assert (await person.client.delete(AVATAR)).status_code == 204
        assert refusal(await looked_at(person, url), 404) == "picture_not_found"
    assert (await person.client.get("/api/user/profile")).json()["profile"]["avatar"] is None
    assert (await usage_of(platform, person.id)).user_avatars == 0


async def test_who_sends_two_at_once_wears_one(person: Person, platform: Platform) -> None:
    answers = await asyncio.gather(*(wear(person, encoded(painted(50 + one, 50))) for one in range(4)))
    assert {one.status_code for one in answers} == {201}
    profile = (await person.client.get("/api/user/profile")).json()["profile"]
    alive = [
        url for one in answers if (await looked_at(person, url := one.json()["picture"]["url"])).status_code == 200
    ]
    assert alive == [profile["avatar"]]
    assert len(await files_of(platform, person.id, FileType.USER_AVATAR)) == 1


async def test_whoever_counts_the_version_sees_that_it_changed(person: Person) -> None:
    before = await person.client.get("/api/user/profile")
    await worn(person)
    after = await person.client.get("/api/user/profile", headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    feed = (await person.client.get("/api/changes")).json()["changes"]
    assert [(one["entity"], one["action"]) for one in feed][-1] == ("user", "updated")


async def test_it_is_told_wherever_they_are(person: Person, new_person: NewPerson, platform: Platform) -> None:
    bob = await new_person(name="Bob")
    workspace_id = await a_team(platform, person)
    await join(platform, workspace_id, bob, Role.MEMBER)
    url = await worn(bob)
    assert (await bob.client.get("/api/auth/me")).json()["user"]["avatar"] == url
    members = (await person.client.get("/api/team/members", params={"workspaceId": workspace_id})).json()["members"]
    assert {one["userId"]: one["avatar"] for one in members} == {str(person.id): None, str(bob.id): url}
    project = (await bob.client.post("/api/projects", json={"workspaceId": workspace_id, "name": "Launch"})).json()
    task = await bob.client.post(
        "/api/tasks",
        json={"projectId": project["project"]["id"], "title": "Write", "assigneeIds": [str(bob.id)]},
    )
    assert task.status_code == 201, task.text
    made = task.json()["task"]
    assert (made["createdBy"]["avatar"], made["assignees"][0]["avatar"]) == (url, url)
    comment = await bob.client.post(f"/api/tasks/{made['id']}/comments", json={"body": "Yes"})
    assert comment.json()["comment"]["author"]["avatar"] == url
    seen = (await person.client.get(f"/api/tasks/{made['id']}/activity")).json()["activity"]
    assert {one["actor"]["avatar"] for one in seen} == {url}
    direct = await bob.client.post(
        "/api/conversations/direct", json={"workspaceId": workspace_id, "userId": str(person.id)}
    )
    assert direct.status_code in (200, 201), direct.text
    talk = direct.json()["conversation"]
    said = await bob.client.post("/api/messages", json={"conversationId": talk["id"], "body": "Hello"})
    assert said.json()["message"]["author"]["avatar"] == url
    listed = (await person.client.get("/api/conversations", params={"workspaceId": workspace_id})).json()
    assert [one["other"]["avatar"] for one in listed["conversations"] if one["id"] == talk["id"]] == [url]
    event = await bob.client.post(
        "/api/calendar/events",
        json={
            "workspaceId": workspace_id,
            "title": "Review",
            "type": "MEETING",
            "startTime": "2031-01-01T10:00:00Z",
            "endTime": "2031-01-01T11:00:00Z",
        },
    )
    assert event.status_code == 201, event.text
    assert event.json()["event"]["organizer"]["avatar"] == url


# --- who may, and what is refused ----------------------------------------------------------------------------------


async def test_nobody_without_a_token(person: Person, platform: Platform) -> None:
    workspace_id = await a_team(platform, person)
    for method, path in (
        *(("POST", AVATAR), ("DELETE", AVATAR)),
        *(("POST", f"/api/workspaces/{workspace_id}/logo"), ("DELETE", f"/api/workspaces/{workspace_id}/logo")),
        ("GET", f"/api/storage/files/{NOWHERE}/thumbnail"),
    ):
        answer = await person.client.request(method, path, headers={"Authorization": ""})
        assert refusal(answer, 401) == "unauthorized"


async def test_what_is_no_picture_is_refused_and_nothing_is_kept(person: Person, platform: Platform) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
    for content, status, code in (
        (b"", 422, "not_a_picture"),
        (svg, 422, "not_a_picture"),
        (b"<html>" + encoded(painted()), 422, "not_a_picture"),
        (bomb(), 413, "picture_too_large"),
        (encoded(painted(300, 300))[:400], 422, "picture_broken"),
    ):
        assert refusal(await wear(person, content), status) == code
        raw = await person.client.post(AVATAR, content=content, headers={"Content-Type": "image/png"})
        assert refusal(raw, status) == code
    assert await files_of(platform, person.id, FileType.USER_AVATAR) == []
    assert (await person.client.get("/api/user/profile")).json()["profile"]["avatar"] is None


async def test_a_picture_that_was_held_sideways_is_measured_when_it_comes(person: Person) -> None:
    """Behind the pixels of a WebP stands how it was held: nobody has asked for a small one yet."""
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = encoded(Image.effect_noise((400, 300), 90).convert("RGB"), "WEBP", lossless=True, exif=exif)
    assert noise.index(b"EXIF", 30) > 65_536, "further than what is kept of the beginning"
    file = await uploaded(person, noise, "plan.webp", media_type="image/webp")
    assert (file["width"], file["height"]) == (300, 400)


async def test_a_picture_that_there_was_no_time_for_is_tried_again_later(
    person: Person, platform: Platform, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stopped the decoder, it is not the picture's fault."""
    file = await uploaded(person, encoded(painted(90, 60)), "plan.png", media_type="image/png")
    path = f"/api/storage/files/{file['id']}/thumbnail"
    monkeypatch.setattr(platform.part(Studio), "_wall_s", 0.0)
    late = await person.client.get(path)
    assert refusal(late, 503) == "storage_unavailable"
    assert late.headers["retry-after"] == "60"
    assert refusal(await wear(person), 503) == "storage_unavailable"
    assert await files_of(platform, person.id, FileType.USER_AVATAR) == []
    monkeypatch.undo()
    again = await person.client.get(path)
    assert refusal(again, 503) == "storage_unavailable", "not tried at every request"
    assert 0 < int(again.headers["retry-after"]) <= 60
    clock.advance(seconds=61)
    assert opened((await person.client.get(path)).content).size == (90, 60)
    await worn(person)


async def test_a_body_that_is_too_large_is_not_read_to_its_end(person: Person) -> None:
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(30):
            read += 1
            yield bytes(1 << 20)

    raw = {"Content-Type": "image/png"}
    for headers, most in ((raw | {"Content-Length": str(30 << 20)}, 1), (raw, 11)):
        read = 0
        answer = await person.client.post(AVATAR, content=pieces(), headers=headers)
        assert refusal(answer, 413) == "picture_too_large"
        assert answer.json()["limit"] == pictures.MOST_BYTES
        assert read <= most
    answer = await wear(person, bytes(pictures.MOST_BYTES + 1))
    assert (refusal(answer, 413), answer.json()["limit"]) == ("picture_too_large", pictures.MOST_BYTES)
    whole = await wear(person, encoded(painted()).ljust(pictures.MOST_BYTES, b"\0"))
    assert whole.status_code == 201, "the form around it does not count"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
async def test_a_full_disk_is_said_to_be_one(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    file = await uploaded(person, encoded(painted()), "it.png")

    @contextmanager
    def without_room() -> Iterator[BinaryIO]:
        with Path("/dev/full").open("w+b") as full:
            yield full

    with monkeypatch.context() as disk:
        disk.setattr(tempfile, "TemporaryFile", without_room)
        assert refusal(await wear(person, encoded(painted())), 503) == "storage_unavailable"
        small = await person.client.get(f"/api/storage/files/{file['id']}/thumbnail")
        assert refusal(small, 503) == "storage_unavailable"
    await worn(person, encoded(painted()))


async def test_a_picture_that_stops_coming_is_given_up(
    person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform.part(Leases), "patience", Patience(stall_s=0.02))

    async def silent() -> AsyncIterator[bytes]:
        yield encoded(painted())[:50]
        await asyncio.Event().wait()

    answer = await person.client.post(AVATAR, content=silent(), headers={"Content-Type": "image/png"})
    assert refusal(answer, 408) == "upload_timed_out"


async def test_head_of_a_picture_says_what_get_does_without_the_bytes(person: Person) -> None:
    url = await worn(person)
    answer = await person.client.post(
        "/api/storage/uploads", files={"file": ("me.png", encoded(painted(300, 200)), "image/png")}
    )
    thumbnail = f"/api/storage/files/{answer.json()['file']['id']}/thumbnail"
    for address in (url, thumbnail):
        whole, head = await person.client.get(address), await person.client.head(address)
        assert (whole.status_code, head.status_code, head.content) == (200, 200, b"")
        assert int(head.headers["content-length"]) == len(whole.content) > 0
        for name in ("content-type", "etag", "cache-control", "content-security-policy", "x-content-type-options"):
            assert head.headers[name] == whole.headers[name], name
        known = await person.client.head(address, headers={"If-None-Match": whole.headers["etag"]})
        assert (known.status_code, known.headers["etag"]) == (304, whole.headers["etag"])
    assert (await person.client.head("/api/storage/pictures/nonsense")).status_code == 404
    assert (await person.client.head(thumbnail, headers={"Authorization": ""})).status_code == 401


async def test_a_body_of_another_kind_is_refused(person: Person) -> None:
    assert refusal(await person.client.post(AVATAR, json={"url": "http://x"}), 415) == "multipart_expected"
    empty = await person.client.post(AVATAR, files={"text": (None, "hello")})
    assert refusal(empty, 400) == "malformed_multipart"
    broken = await person.client.post(
        AVATAR, content=b"--x\r\nnothing", headers={"Content-Type": "multipart/form-data; boundary=y"}
    )
    assert refusal(broken, 400) == "malformed_multipart"
    two = [("a", ("a.png", encoded(painted()))), ("b", ("b.png", encoded(painted())))]
    assert refusal(await person.client.post(AVATAR, files=two), 400) == "malformed_multipart"


async def test_sizes_are_those_there_are(person: Person) -> None:
    url = await worn(person)
    for size in (0, 33, 100_000):
        assert (await looked_at(person, url, size or 1)).status_code == 422
    assert refusal(await person.client.get("/api/storage/pictures/nonsense"), 404) == "picture_not_found"


# --- logos ---------------------------------------------------------------------------------------------------------


async def test_a_workspace_has_a_mark_that_its_admins_put_on(
    person: Person, new_person: NewPerson, platform: Platform
) -> None:
    member, admin, stranger = [await new_person() for _ in range(3)]
    workspace_id = await a_team(platform, person)
    await join(platform, workspace_id, member, Role.MEMBER)
    await join(platform, workspace_id, admin, Role.ADMIN)
    path = f"/api/workspaces/{workspace_id}/logo"
    assert refusal(await wear(member, path=path), 403) == "forbidden"
    assert refusal(await wear(stranger, path=path), 404) == "workspace_not_found"
    assert refusal(await stranger.client.delete(path), 404) == "workspace_not_found"
    assert refusal(await member.client.delete(path), 403) == "forbidden"
    url = await worn(admin, encoded(painted(400, 100)), path=path)
    shown = (await member.client.get(f"/api/workspaces/{workspace_id}")).json()["workspace"]
    assert shown["logo"] == url
    [listed] = [
        one
        for one in (await member.client.get("/api/workspaces")).json()["workspaces"]
        if one["id"] == str(workspace_id)
    ]
    assert listed["logo"] == url
    image = opened((await looked_at(member, url, 128)).content)
    assert image.size == (128, 128)
    assert alpha(image, (64, 4)) == 0
    assert near(image.getpixel((4, 52)), (255, 0, 0, 255))
    usage = await usage_of(platform, UUID(str(workspace_id)))
    assert usage.workspace_logos > 0
    assert (await admin.client.delete(path)).status_code == 204
    assert (await member.client.get(f"/api/workspaces/{workspace_id}")).json()["workspace"]["logo"] is None
    assert (await looked_at(member, url)).status_code == 404
    assert (await usage_of(platform, UUID(str(workspace_id)))).workspace_logos == 0


# --- crashes -------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for the end of the process: nothing below catches it."""


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process ends after the bytes are in, before they are put on."""

    async def die(*_: object) -> str:
        raise Killed

    monkeypatch.setattr(pictures, "_put_on", die)
    yield
    monkeypatch.undo()


async def test_what_was_never_put_on_goes_by_itself(
    person: Person, platform: Platform, clock: MovableClock, cut_off: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Killed):
        await wear(person)
    monkeypatch.undo()
    [left] = await files_of(platform, person.id, FileType.USER_AVATAR)
    assert left.deleted_at is None
    await pictures.forget_unworn(platform)
    assert (await files_of(platform, person.id, FileType.USER_AVATAR))[0].deleted_at is None  # it may be under way
    url = await worn(person, encoded(painted(60, 60)))
    clock.advance_business(hours=2)
    await pictures.forget_unworn(platform)
    [row] = await files_of(platform, person.id, FileType.USER_AVATAR)
    assert row.id != left.id
    assert (await looked_at(person, url)).status_code == 200
    usage = await usage_of(platform, person.id)
    assert (usage.user_avatars, usage.total_used) == (row.size_bytes, row.size_bytes)


async def test_a_size_that_lost_its_bytes_is_made_again(person: Person, platform: Platform) -> None:
    """A crash between a size's row and its bytes."""
    url = await worn(person)
    [file] = await files_of(platform, person.id, FileType.USER_AVATAR)
    async with platform.database.reading() as session:
        kept = (
            await session.scalars(select(ObjectRendition).where(ObjectRendition.object_id == file.object_id))
        ).all()
    assert {one.size for one in kept} == {32, 64, 128, 256}
    await platform.part(BlobDoor).delete(*(one.key for one in kept))
    for size in (32, 64, 128, 256):
        image = opened((await looked_at(person, url, size)).content)
        assert image.size == (min(size, 200),) * 2
    for one in kept:
        assert await platform.part(BlobDoor).head(one.key) is not None
