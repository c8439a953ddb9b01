"""A zip with everything of a person, and nothing of anybody else."""

import asyncio
import io
import json
import zipfile
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from pm_api.core.jobs import MAX_ATTEMPTS, JobContext
from pm_api.core.platform import Platform
from pm_api.domains.account import archives, exports, repository
from pm_api.domains.storage.models import StoredObject
from pm_api.identity.permissions import Role
from pm_api.integrations.blobs import BlobDoor
from tests.conftest import NewPerson, Person
from tests.domains.account.leavers import EXPORT, build_export, sweep
from tests.domains.storage.boxes import uploaded
from tests.identity.teams import join, make_workspace
from tests.support.clock import MovableClock

Json = dict[str, Any]


async def ask(person: Person) -> Json:
    answer = await person.client.post(EXPORT)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()["export"]
    assert answer.headers["Location"] == f"/api/user/exports/{made['id']}"
    return made


async def shown(person: Person, export_id: str) -> Json:
    answer = await person.client.get(f"/api/user/exports/{export_id}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["export"]
    return found


async def download(person: Person, export_id: str) -> httpx.Response:
    return await person.client.get(f"/api/user/exports/{export_id}/download")


async def unpacked(person: Person, export_id: str) -> dict[str, str]:
    """Every file of the zip, as text."""
    answer = await download(person, export_id)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert len(answer.content) == (await shown(person, export_id))["sizeBytes"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {one: archive.read(one).decode() for one in archive.namelist()}


async def live(person: Person, friend: Person, mark: str, workspace: str) -> list[str]:
    """Use what leaves rows, under words that occur nowhere else; the words."""
    words = {name: f"{mark}-{name}" for name in ("about", "alone", "work", "pool", "hold", "gift", "reason")}

    async def done(method: str, path: str, status: int, **body: Any) -> Json:
        answer = await person.client.request(method, path, json=body, headers={"Idempotency-Key": uuid4().hex})
        assert answer.status_code == status, answer.text
        found: Json = answer.json()
        return found

    await done("PUT", "/api/user/profile", 200, name=person.name, about=words["about"])
    await make_workspace(person, name=words["alone"])
    spent = await done("POST", "/api/credits/spend", 200, amount=1, description=words["work"])
    await done("POST", "/api/credits/holds", 201, amount=1, description=words["hold"])
    await done(
        "POST",
        "/api/credits/refund-requests",
        201,
        entryId=spent["entry"]["id"],
        reason=words["reason"],
        category="OTHER",
    )
    await done(
        "POST",
        "/api/credits/pool/requests",
        201,
        kind="CREDITS",
        amount=5,
        reason=words["pool"],
        workspaceId=workspace,
    )
    del words["gift"]
    return [*words.values(), person.email, person.name]


async def test_it_holds_everything_of_the_person_and_nothing_of_others(
    new_person: NewPerson, platform: Platform
) -> None:
    marks = [f"xq{uuid4().hex[:10]}" for _ in range(2)]
    ann, bob = [await new_person(email=f"{one}@example.com", name=f"Name {one}") for one in marks]
    shared = (await make_workspace(ann, name="Both"))["id"]
    await join(platform, shared, bob, Role.ADMIN)
    of_ann = await live(ann, bob, marks[0], shared)
    of_bob = await live(bob, ann, marks[1], shared)
    for person, own, other in ((ann, of_ann, marks[1]), (bob, of_bob, marks[0])):
        made = await ask(person)
        await build_export(platform, made["id"])
        files = await unpacked(person, made["id"])
        everything = "\n".join(files.values())
        assert [one for one in own if one not in everything] == []
        # What one was told of the other is one's own; nothing else names them.
        others = {name: text for name, text in files.items() if other in text}
        assert set(others) <= {"notifications.json"}, others
        assert str(person.id) in files["account.json"]
        for name, text in files.items():
            if name != archives.README:
                rows = json.loads(text)
                assert rows, name
                assert name in files[archives.README]
        secrets = ("passwordHash", "tokenHash", "sealed", "digest")
        assert [one for one in secrets if one.lower() in everything.lower()] == []
        assert {"account.json", "sessions.json", "workspaces.json", "credits/entries.json"} <= set(files)
        entries = json.loads(files["credits/entries.json"])
        book = (await person.client.get("/api/credits/history", params={"limit": 200})).json()["entries"]
        assert [one["id"] for one in entries] == [one["id"] for one in reversed(book)]
    places = json.loads(files["workspaces.json"])
    assert {one["id"]: one["role"] for one in places}[shared] == "ADMIN"


async def test_one_is_told_in_the_app_and_by_mail_when_it_is_ready(person: Person, platform: Platform) -> None:
    made = await ask(person)
    assert (made["status"], made["sizeBytes"], made["expiresAt"]) == ("PENDING", None, None)
    assert (await download(person, made["id"])).json()["code"] == "export_not_ready"
    await build_export(platform, made["id"])
    ready = await shown(person, made["id"])
    assert (ready["status"], ready["failureCode"]) == ("READY", None)
    told = (await person.client.get("/api/notifications", params={"type": "account.export"})).json()["notifications"]
    assert [one["data"]["exportId"] for one in told] == [made["id"]]
    assert (told[0]["category"], told[0]["link"]) == ("SECURITY", f"/settings/privacy?export={made['id']}")


async def test_ten_asking_at_once_make_one(person: Person) -> None:
    answers = await asyncio.gather(*(person.client.post(EXPORT) for _ in range(10)))
    assert {one.status_code for one in answers} == {201}
    assert len({one.json()["export"]["id"] for one in answers}) == 1
    assert len((await person.client.get("/api/user/exports")).json()["exports"]) == 1


async def test_a_job_that_runs_twice_or_dies_in_between_makes_one_whole_zip(
    person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await ask(person)
    keep = archives._keep

    async def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(archives, "_keep", dies)
    with pytest.raises(KeyboardInterrupt):
        await build_export(platform, made["id"])
    assert (await shown(person, made["id"]))["status"] == "RUNNING"
    monkeypatch.setattr(archives, "_keep", keep)
    await asyncio.gather(*(build_export(platform, made["id"]) for _ in range(3)))
    first = await shown(person, made["id"])
    assert first["status"] == "READY"
    files = await unpacked(person, made["id"])
    await build_export(platform, made["id"])
    assert await shown(person, made["id"]) == first
    assert await unpacked(person, made["id"]) == files


async def test_an_export_lives_a_week_or_until_the_next_one(
    person: Person, platform: Platform, clock: MovableClock
) -> None:
    first = await ask(person)
    await build_export(platform, first["id"])
    second = await ask(person)
    assert (await download(person, first["id"])).status_code == 200, "until the next one is there"
    await build_export(platform, second["id"])
    gone = await download(person, first["id"])
    assert (gone.status_code, gone.json()["code"]) == (410, "export_gone")
    clock.shift_to(timedelta(days=7, minutes=1))
    gone = await download(person, second["id"])
    assert (gone.status_code, gone.json()["code"]) == (410, "export_gone"), "by the clock, before any sweep"
    await sweep(platform, "account.forget_exports")
    listed = (await person.client.get("/api/user/exports")).json()["exports"]
    assert [(one["id"], one["status"]) for one in listed] == [(second["id"], "EXPIRED"), (first["id"], "EXPIRED")]
    async with platform.database.reading() as session:
        assert await repository.part(session, UUID(second["id"]), 0) is None


async def test_five_a_day(person: Person, platform: Platform) -> None:
    for _ in range(exports.MOST_A_DAY):
        await build_export(platform, (await ask(person))["id"])
    answer = await person.client.post(EXPORT)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_exports")
    assert int(answer.headers["Retry-After"]) > 0


async def test_what_cannot_be_made_says_so(
    new_person: NewPerson, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    big, broken = await new_person(), await new_person()
    monkeypatch.setattr(archives, "MOST_BYTES", 100)
    made = await ask(big)
    await build_export(platform, made["id"])
    found = await shown(big, made["id"])
    assert (found["status"], found["failureCode"]) == ("FAILED", "too_large")
    assert (await download(big, made["id"])).status_code == 409

    made = await ask(broken)

    async def breaks(*_: object) -> None:
        raise RuntimeError("a disk that is full")

    monkeypatch.setattr(archives, "_write", breaks)
    payload = exports.Build(export_id=UUID(made["id"]))
    with pytest.raises(RuntimeError):
        await exports.BUILD.run(JobContext(platform, "test", attempt=0), payload)
    assert (await shown(broken, made["id"]))["status"] == "RUNNING", "it is tried again"
    with pytest.raises(RuntimeError):
        await exports.BUILD.run(JobContext(platform, "test", attempt=MAX_ATTEMPTS - 1), payload)
    found = await shown(broken, made["id"])
    assert (found["status"], found["failureCode"]) == ("FAILED", "failed")
    told = await broken.client.get("/api/notifications", params={"type": "account.export_failed"})
    assert len(told.json()["notifications"]) == 1
    assert (await broken.client.post(EXPORT)).status_code == 201, "one may ask again"


async def test_a_large_export_is_read_and_kept_in_pieces(
    person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More rows than a stretch, more bytes than a part: nothing is lost at the seams."""
    monkeypatch.setattr(archives, "ROWS_AT_A_TIME", 3)
    monkeypatch.setattr(archives, "PART_BYTES", 100)
    for _ in range(3):
        answer = await person.client.post(
            "/api/credits/spend", json={"amount": 1}, headers={"Idempotency-Key": uuid4().hex}
        )
        assert answer.status_code == 200, answer.text
    for _ in range(7):
        await make_workspace(person)
    made = await ask(person)
    await build_export(platform, made["id"])
    files = await unpacked(person, made["id"])
    assert len(json.loads(files["credits/entries.json"])) == 4
    assert len({one["id"] for one in json.loads(files["workspaces.json"])}) == 7


async def test_a_lost_job_is_put_again(person: Person, platform: Platform, clock: MovableClock) -> None:
    made = await ask(person)
    clock.shift_to(exports.STUCK_AFTER + timedelta(minutes=1))
    await sweep(platform, "account.requeue_exports")
    async with platform.database.reading() as session:
        row = await repository.lock_export(session, exports.SCOPE, UUID(made["id"]))
    assert row is not None
    assert row.looked_at > row.created_at


async def test_nobody_gets_anothers(new_person: NewPerson, client: httpx.AsyncClient, platform: Platform) -> None:
    ann, bob = await new_person(), await new_person()
    made = await ask(ann)
    await build_export(platform, made["id"])
    for path in (f"/api/user/exports/{made['id']}", f"/api/user/exports/{made['id']}/download"):
        assert (await client.get(path)).status_code == 401
        assert (await bob.client.get(path)).status_code == 404
        assert (await ann.client.get(path.replace(made["id"], str(uuid4())))).status_code == 404
        assert (await ann.client.get(path.replace(made["id"], "no-id"))).status_code == 404
    assert (await client.post(EXPORT)).status_code == 401
    assert (await client.get("/api/user/exports")).status_code == 401
    assert (await bob.client.get("/api/user/exports")).json()["exports"] == []


async def test_a_task_made_private_since_is_no_more_than_a_line(
    person: Person, new_person: NewPerson, platform: Platform
) -> None:
    owner = await new_person()
    workspace = await make_workspace(owner)
    await join(platform, workspace["id"], person, Role.MEMBER)
    project = await owner.client.post("/api/projects", json={"workspaceId": workspace["id"], "name": "Open yet"})
    project_id = project.json()["project"]["id"]
    made = await person.client.post("/api/tasks", json={"projectId": project_id, "title": "Mine, then theirs"})
    assert made.status_code == 201, made.text
    task_id = made.json()["task"]["id"]
    private = await owner.client.patch(f"/api/projects/{project_id}", json={"isPrivate": True})
    assert private.status_code == 200, private.text
    await owner.client.patch(f"/api/tasks/{task_id}", json={"title": "Not yours to know"})
    export = await ask(person)
    await build_export(platform, export["id"])
    files = await unpacked(person, export["id"])
    [line] = json.loads(files["tasks/tasks.json"])
    assert set(line) == {"id", "workspaceId", "createdAt"}
    assert "Not yours to know" not in "".join(files.values())


async def test_own_files_are_in_it_as_they_are_and_others_by_their_address(
    platform: Platform, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = (await make_workspace(person))["id"]
    own, shared = await uploaded(person, b"my own"), await uploaded(person, b"of all", workspaceId=place)
    inside = f"storage/content/{own['id']}/plan.txt"
    made = await ask(person)
    await build_export(platform, made["id"])
    files = await unpacked(person, made["id"])
    assert files[inside] == "my own"
    assert not [one for one in files if shared["id"] in one]
    told = {one["id"]: one["contentUrl"] for one in json.loads(files["storage/files.json"])}
    assert told == {one["id"]: one["contentUrl"] for one in (own, shared)}
    monkeypatch.setattr(archives, "ROOM_FOR_THE_REST", archives.MOST_BYTES)
    again = await ask(person)
    await build_export(platform, again["id"])
    files = await unpacked(person, again["id"])
    assert inside not in files
    assert inside in files["README.txt"]


async def test_of_an_own_file_that_is_not_whole_nothing_is_passed_off_as_it(
    platform: Platform, person: Person
) -> None:
    own = await uploaded(person, b"my own")
    door, inside = platform.part(BlobDoor), f"storage/content/{own['id']}/plan.txt"
    async with platform.database.reading() as session:
        key = await session.scalar(select(StoredObject.key).where(StoredObject.account_id == person.id))
    assert key is not None
    await door.delete(key)
    await door.put(key, b"my")
    made = await ask(person)
    await build_export(platform, made["id"])
    files = await unpacked(person, made["id"])
    assert inside not in files
    assert inside in files["README.txt"]


async def test_of_very_many_that_do_not_fit_in_some_are_named_and_the_others_counted(
    platform: Platform, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, the list of them does not make the zip too large itself."""
    monkeypatch.setattr(archives, "ROOM_FOR_THE_REST", archives.MOST_BYTES)
    monkeypatch.setattr(archives, "MOST_NAMED", 2)
    for number in range(3):
        await uploaded(person, b"%d" % number)
    made = await ask(person)
    await build_export(platform, made["id"])
    told = (await unpacked(person, made["id"]))["README.txt"]
    assert told.count("storage/content/") == 2
    assert "and 1 more" in told
