"""Files and the scanner: what it calls clean is served, what it does not waits, what is infected is put away.

The scanner is a double that speaks INSTREAM; Debian's clamd answers in test_clamd.py.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import select, text, update

from pm_api.app import create_app
from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.storage import scanning
from pm_api.domains.storage.enums import ScanState
from pm_api.domains.storage.models import DoomedObject, StoredObject
from pm_api.domains.storage.repository import scans
from pm_api.domains.storage.scanning import next_look, next_try
from pm_api.identity.permissions import Role
from pm_api.integrations.blobs import BlobDoor
from tests.conftest import NewPerson, Person
from tests.domains.storage.boxes import Json, uploaded, usage
from tests.domains.storage.breaking import place_of
from tests.domains.storage.painting import encoded, painted
from tests.domains.storage.scanned import FILES, content, notices, object_of, read, scan, scanned_platform
from tests.domains.tasks.sites import open_site
from tests.support.clamds import EICAR, ClamdDouble, Manner
from tests.support.clock import MovableClock

DOUBLE: dict[str, ClamdDouble] = {}


@pytest.fixture(scope="module")
async def platform(worker_database: str) -> AsyncIterator[Platform]:
    async with AsyncExitStack() as stack:
        opened, DOUBLE["clamd"] = await stack.enter_async_context(scanned_platform(worker_database))
        yield opened


@pytest.fixture(scope="module")
def app(platform: Platform) -> FastAPI:
    return create_app(platform.settings, platform)


@pytest.fixture
async def clamd(platform: Platform) -> ClamdDouble:
    """Honest, and with nothing to do for the tests before."""
    async with platform.database.transaction() as session:
        await session.execute(update(StoredObject).values(scan_due_at=None))
        await session.execute(text("DELETE FROM pgqueuer WHERE entrypoint = 'storage.scan'"))
    double = DOUBLE["clamd"]
    double.manner = Manner.HONEST
    double.seen.clear()
    return double


async def sweep(platform: Platform) -> None:
    await run_sweep(platform, PERIODICS["storage.rescan"])


def fresh(words: str = "harmless") -> bytes:
    return f"{words} {uuid4()}".encode()


def infected() -> bytes:
    """No two of them alike, or one account would have one object of them."""
    return EICAR + uuid4().bytes


# --- what becomes of files -----------------------------------------------------------------------------------------


async def test_a_file_waits_for_the_scanner_and_is_served_when_it_is_clean(
    platform: Platform, person: Person, clamd: ClamdDouble
) -> None:
    sent = fresh()
    file = await uploaded(person, sent)
    assert (file["uploadStatus"], file["scanned"], file["scanState"]) == ("VIRUS_SCAN_PENDING", False, "PENDING")
    assert (await content(person, file)).status_code != 200
    assert await scan(platform) == 1
    assert clamd.seen == [sent]
    now = await read(person, file)
    assert (now["uploadStatus"], now["scanned"], now["scanState"]) == ("COMPLETED", True, "CLEAN")
    assert now["scannedAt"] is not None
    assert now["version"] > file["version"]
    assert (await content(person, file)).content == sent


async def test_an_infected_file_is_put_away_and_owner_and_admins_are_told(
    platform: Platform, new_person: NewPerson, clamd: ClamdDouble
) -> None:
    site = await open_site(platform, new_person)
    maker, other = await site.person(Role.MEMBER), await site.person(Role.MEMBER)
    file = await uploaded(maker, infected(), "game.exe", workspaceId=site.id)
    before = await object_of(platform, file)
    await scan(platform)
    now = await read(maker, file)
    assert (now["uploadStatus"], now["scanned"], now["scanState"]) == ("VIRUS_DETECTED", False, "INFECTED")
    assert "READ" not in now["allowedActions"]
    assert (await content(maker, file)).status_code != 200
    after = await object_of(platform, file)
    door = platform.part(BlobDoor)
    assert after.key.startswith("quarantine/")
    assert after.threat == "Eicar-Test-Signature"
    assert await door.head(after.key) is not None
    assert await doomed(platform, before.key)
    assert not await doomed(platform, after.key)
    [told] = await notices(maker, "file.infected")
    assert "game.exe" in told["title"]
    assert "Eicar-Test-Signature" in told["body"]
    [seen] = await notices(site.owner, "file.infected_in_workspace")
    assert "game.exe" not in str(seen), "an admin does not see files that have no place yet"
    assert await notices(other, "file.infected_in_workspace") == []
    assert await notices(other, "file.infected") == []
    assert clamd.seen


async def test_a_verdict_counts_for_every_file_with_that_content(
    platform: Platform, person: Person, clamd: ClamdDouble
) -> None:
    sent = infected()
    one, two = await uploaded(person, sent, "one.txt"), await uploaded(person, sent, "two.txt")
    assert await scan(platform) == 1
    assert len(clamd.seen) == 1
    three = await uploaded(person, sent, "three.txt")
    assert three["uploadStatus"] == "VIRUS_DETECTED"
    for file in (one, two, three):
        assert (await read(person, file))["uploadStatus"] == "VIRUS_DETECTED"
    assert len(await notices(person, "file.infected")) == 2


async def test_readers_keep_the_old_version_until_the_new_one_is_clean(
    platform: Platform, new_person: NewPerson, clamd: ClamdDouble
) -> None:
    site = await open_site(platform, new_person)
    reader = await site.person(Role.VIEWER)
    place = {"projectId": (await site.project())["id"], "fileType": "PROJECT_ASSET"}
    old, new = fresh("old"), fresh("newer")
    file = await uploaded(site.owner, old, "plan.txt", **place)
    await scan(platform)
    shown = await uploaded(site.owner, new, "plan.txt", fileId=file["id"])
    assert (shown["uploadStatus"], shown["versionNumber"], shown["fileSize"]) == ("COMPLETED", 1, len(old))
    assert (await content(reader, file)).content == old
    assert [one["id"] for one in await found(reader, "plan")] == [file["id"]]
    [second, first] = await versions_of(reader, file)
    assert (second["number"], second["isCurrent"], second["scanState"]) == (2, False, "PENDING")
    assert (second["contentUrl"], first["isCurrent"]) == (None, True)
    assert (await site.owner.client.post(f"{FILES}/{file['id']}/versions/2/restore")).status_code == 409
    await scan(platform)
    now = await read(reader, file)
    assert (now["uploadStatus"], now["versionNumber"], now["fileSize"]) == ("COMPLETED", 2, len(new))
    assert now["version"] > shown["version"]
    assert (await content(reader, file)).content == new
    row = await usage(platform, UUID(site.id))
    assert row is not None
    assert (row.project_assets, row.old_versions, row.total_used) == (len(new), len(old), len(old) + len(new))
    assert clamd.seen == [old, new]


@pytest.mark.parametrize("is_known", [False, True], ids=["found now", "known before"])
async def test_an_infected_version_takes_the_file_from_nobody(
    platform: Platform, person: Person, clamd: ClamdDouble, is_known: bool
) -> None:
    old, bad = fresh(), infected()
    file = await uploaded(person, old, "plan.txt")
    if is_known:
        await uploaded(person, bad, "other.txt")
    await scan(platform)
    await uploaded(person, bad, "worse.txt", fileId=file["id"])
    await scan(platform)
    now = await read(person, file)
    assert (now["uploadStatus"], now["versionNumber"], now["scanState"]) == ("COMPLETED", 1, "CLEAN")
    assert (await content(person, file)).content == old
    [second, _] = await versions_of(person, file)
    assert (second["scanState"], second["isCurrent"], second["contentUrl"]) == ("INFECTED", False, None)
    assert (await person.client.get(f"{FILES}/{file['id']}/versions/2/content")).status_code == 409
    assert [one for one in await notices(person, "file.infected") if "worse.txt" in one["title"]] != []
    assert (await person.client.delete(f"{FILES}/{file['id']}/versions/2")).status_code == 204
    assert clamd.seen


async def test_of_two_versions_that_wait_the_newest_counts_whichever_is_clean_first(
    platform: Platform, person: Person, clamd: ClamdDouble
) -> None:
    file = await uploaded(person, fresh())
    await scan(platform)
    contents = [fresh("second"), fresh("third")]
    for one in contents:
        await uploaded(person, one, fileId=file["id"])
    async with platform.database.reading() as session:
        waiting = {one.sha256: one.id for one in await session.scalars(select(StoredObject))}
    second, third = (waiting[sha256(one).digest()] for one in contents)
    await scanning.settle(platform, third, ScanState.CLEAN, None)
    assert (await read(person, file))["versionNumber"] == 3
    await scanning.settle(platform, second, ScanState.CLEAN, None)
    assert (await read(person, file))["versionNumber"] == 3
    assert (await content(person, file)).content == contents[1]
    assert clamd.seen


# --- what is not clean ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manner", [Manner.SILENT, Manner.GARBAGE, Manner.HANGS_UP, "down"])
async def test_without_a_verdict_a_file_waits_and_is_asked_for_again(
    platform: Platform, person: Person, clamd: ClamdDouble, clock: MovableClock, manner: Any
) -> None:
    file = await uploaded(person, fresh() * 10_000)
    if manner == "down":
        await clamd.stop()
    else:
        clamd.manner = manner
    await scan(platform)
    now = await read(person, file)
    assert (now["uploadStatus"], now["scanState"]) == ("VIRUS_SCAN_PENDING", "PENDING")
    assert (await content(person, file)).status_code != 200
    if manner == "down":
        await clamd.start()
    clamd.manner = Manner.HONEST
    await sweep(platform)
    assert (await read(person, file))["scanState"] == "PENDING", "not before its time"
    clock.advance_business(minutes=2)
    await sweep(platform)
    await scan(platform)
    assert (await read(person, file))["scanState"] == "CLEAN"


@pytest.mark.parametrize("is_as_long", [False, True])
async def test_what_is_not_as_it_came_in_is_not_clean(
    platform: Platform, person: Person, clamd: ClamdDouble, clock: MovableClock, is_as_long: bool
) -> None:
    sent = fresh() * 10
    file = await uploaded(person, sent)
    async with platform.database.reading() as session:
        [key] = await session.scalars(select(StoredObject.key).where(StoredObject.sha256 == sha256(sent).digest()))
    lying = place_of(platform, key)
    lying.write_bytes(sent[:-10] + bytes(10 * is_as_long))
    await scan(platform)
    assert (await read(person, file))["scanState"] == "PENDING"
    lying.write_bytes(sent)
    clock.advance_business(minutes=2)
    await sweep(platform)
    await scan(platform)
    assert (await read(person, file))["scanState"] == "CLEAN"


async def test_who_brings_again_what_the_scanner_could_not_read_waits_no_longer(
    platform: Platform, person: Person, clamd: ClamdDouble
) -> None:
    sent = fresh()
    file = await uploaded(person, sent)
    await platform.part(BlobDoor).delete((await object_of(platform, file)).key)
    await scan(platform)
    again = await uploaded(person, sent)
    await sweep(platform)
    await scan(platform)
    for one in (file, again):
        assert (await content(person, one)).content == sent


async def test_too_large_for_the_scanner_is_not_clean_and_not_served(
    platform: Platform, person: Person, clamd: ClamdDouble, clock: MovableClock
) -> None:
    by_us, by_clamd = await uploaded(person, fresh() * 40_000), await uploaded(person, fresh())
    clamd.manner = Manner.TOO_LARGE
    await scan(platform)
    for file in (by_us, by_clamd):
        now = await read(person, file)
        assert (now["uploadStatus"], now["scanState"]) == ("VIRUS_SCAN_PENDING", "TOO_LARGE")
        assert now["scanned"] is False
        assert (await content(person, file)).status_code != 200
    clamd.manner = Manner.HONEST
    clock.advance_business(days=2)
    await sweep(platform)
    await scan(platform)
    assert (await read(person, by_us))["scanState"] == "TOO_LARGE"
    assert (await read(person, by_clamd))["scanState"] == "CLEAN", "the operator has raised clamd's limit"


async def test_an_operator_may_serve_what_is_too_large_but_not_call_it_scanned(
    platform: Platform, person: Person, clamd: ClamdDouble, worker_database: str
) -> None:
    file = await uploaded(person, encoded(painted()), "plan.png")
    clamd.manner = Manner.TOO_LARGE
    async with scanned_platform(worker_database, url=clamd.url, serve_unscanned=True) as (lenient, _):
        await scan(lenient)
    now = await read(person, file)
    assert (now["uploadStatus"], now["scanState"], now["scanned"]) == ("COMPLETED", "TOO_LARGE", False)
    small = await person.client.get(f"{FILES}/{file['id']}/thumbnail")
    assert (small.status_code, small.json()["code"]) == (404, "no_thumbnail"), "this operator does not serve it"


async def test_a_scanner_that_is_switched_off_leaves_what_waits_waiting(
    platform: Platform, person: Person, clamd: ClamdDouble, worker_database: str
) -> None:
    file = await uploaded(person, fresh())
    async with scanned_platform(worker_database, url="") as (without, _):
        await scan(without)
        assert (await read(person, file))["uploadStatus"] == "VIRUS_SCAN_PENDING"
    async with scanned_platform(worker_database, url="", serve_unscanned=True) as (lenient, _):
        assert isinstance(lenient.clock, MovableClock)
        lenient.clock.advance_business(hours=2)
        await sweep(lenient)
        await scan(lenient)
    now = await read(person, file)
    assert (now["uploadStatus"], now["scanState"], now["scanned"]) == ("COMPLETED", "NOT_SCANNED", False)
    assert clamd.seen == []


# --- again ---------------------------------------------------------------------------------------------------------


async def test_what_was_clean_is_looked_at_again_and_can_be_infected_by_then(
    platform: Platform, person: Person, clamd: ClamdDouble, clock: MovableClock
) -> None:
    sent = infected()
    clamd.manner = Manner.HONEST
    file = await uploaded(person, fresh().ljust(len(sent)))
    await scan(platform)
    await swap(platform, await object_of(platform, file), sent)
    clock.advance_business(hours=20)
    await sweep(platform)
    assert await scan(platform) == 0
    clock.advance_business(hours=5)
    await sweep(platform)
    await scan(platform)
    assert (await read(person, file))["uploadStatus"] == "VIRUS_DETECTED"
    clock.advance_business(days=60)
    await sweep(platform)
    await scan(platform)
    assert (await read(person, file))["uploadStatus"] == "VIRUS_DETECTED"


async def test_while_it_is_looked_at_again_it_is_served(
    platform: Platform, person: Person, clamd: ClamdDouble, clock: MovableClock
) -> None:
    file = await uploaded(person, fresh())
    await scan(platform)
    clock.advance_business(days=2)
    await sweep(platform)
    clamd.manner = Manner.GARBAGE
    await scan(platform)
    now = await read(person, file)
    assert (now["uploadStatus"], now["scanState"]) == ("COMPLETED", "CLEAN")


async def test_what_was_here_before_there_was_a_scanner_is_scanned_once_there_is(
    platform: Platform, person: Person, clamd: ClamdDouble
) -> None:
    file = await uploaded(person, fresh())
    await scan(platform)
    async with platform.database.transaction() as session:
        stored = await object_of(platform, file)
        await session.execute(
            update(StoredObject)
            .where(StoredObject.id == stored.id)
            .values(scan_state=ScanState.NOT_SCANNED.value, scan_due_at=platform.clock.now(), scanned_at=None)
        )
    assert (await content(person, file)).status_code == 200
    clamd.seen.clear()
    await sweep(platform)
    await scan(platform)
    assert len(clamd.seen) == 1
    assert (await read(person, file))["scanState"] == "CLEAN"


async def test_what_was_here_before_and_comes_again_waits_in_all_files_and_says_so(
    platform: Platform, person: Person, clamd: ClamdDouble, worker_database: str
) -> None:
    sent = fresh()
    older = await uploaded(person, sent, "older.txt")
    async with scanned_platform(worker_database, url="", serve_unscanned=True) as (without, _):
        await scan(without)
    assert (await read(person, older))["scanState"] == "NOT_SCANNED"
    newer = await uploaded(person, sent, "newer.txt")
    for file in (older, newer):
        now = await read(person, file)
        assert (now["uploadStatus"], now["scanState"], now["contentUrl"]) == ("VIRUS_SCAN_PENDING", "PENDING", None)
        assert (await content(person, file)).status_code == 409
    await scan(platform)
    for file in (older, newer):
        assert (await read(person, file))["uploadStatus"] == "COMPLETED"
        assert (await content(person, file)).content == sent


# --- races and crashes ---------------------------------------------------------------------------------------------


async def test_a_verdict_on_what_was_deleted_meanwhile_changes_nothing(
    platform: Platform, person: Person, clamd: ClamdDouble
) -> None:
    file = await uploaded(person, infected())
    stored = await object_of(platform, file)
    answer = await person.client.delete(f"/api/storage/files/{file['id']}", params={"permanent": "true"})
    assert answer.status_code in (200, 204), answer.text
    await scan(platform)
    await scanning.settle(platform, stored.id, ScanState.INFECTED, "Late")
    await scanning.quarantine(platform, stored.id, stored.key)
    assert await notices(person, "file.infected") == []
    assert clamd.seen == []


async def test_two_who_put_the_same_away_leave_one_copy(
    platform: Platform, person: Person, clamd: ClamdDouble
) -> None:
    file = await uploaded(person, infected())
    stored = await object_of(platform, file)
    await scanning.settle(platform, stored.id, ScanState.INFECTED, "Eicar")
    await scanning.quarantine(platform, stored.id, stored.key)
    first = (await object_of(platform, file)).key
    await scanning.quarantine(platform, stored.id, stored.key)
    assert (await object_of(platform, file)).key == first
    assert not await doomed(platform, first)
    assert clamd.seen == []


async def test_who_dies_between_verdict_and_quarantine_is_followed_by_the_sweep(
    platform: Platform, person: Person, clamd: ClamdDouble
) -> None:
    file = await uploaded(person, infected())
    stored = await object_of(platform, file)
    await scanning.settle(platform, stored.id, ScanState.INFECTED, "Eicar")
    assert not (await object_of(platform, file)).key.startswith("quarantine/")
    await sweep(platform)
    await scan(platform)
    assert (await object_of(platform, file)).key.startswith("quarantine/")
    assert (await object_of(platform, file)).scan_due_at is None
    assert clamd.seen == []


async def test_who_dies_while_it_scans_is_followed_by_the_sweep(
    platform: Platform, person: Person, clamd: ClamdDouble, clock: MovableClock
) -> None:
    file = await uploaded(person, fresh())
    stored = await object_of(platform, file)
    async with platform.database.transaction() as session:
        now = clock.now()
        claimed = await scans.claim(session, stored.id, now, now + scanning.TURN)
        assert claimed is not None
    await scan(platform)
    assert clamd.seen == [], "another has its turn"
    clock.advance_business(seconds=scanning.TURN.total_seconds())
    await sweep(platform)
    await scan(platform)
    assert (await read(person, file))["scanState"] == "CLEAN"


async def test_a_scanner_without_signatures_does_not_make_infected_files_clean(
    platform: Platform, person: Person, clamd: ClamdDouble
) -> None:
    file = await uploaded(person, infected())
    await scan(platform)
    stored = await object_of(platform, file)
    await scanning.settle(platform, stored.id, ScanState.CLEAN, None)
    assert (await read(person, file))["uploadStatus"] == "VIRUS_DETECTED"
    assert clamd.seen


# --- rules ---------------------------------------------------------------------------------------------------------


def test_when_it_is_looked_at_again(clock: MovableClock) -> None:
    now = clock.now()
    for age, wait in ((0, 1), (1, 1), (4, 4), (29, 29), (400, 30)):
        assert next_look(ScanState.CLEAN, now - timedelta(days=age), now) == now + timedelta(days=wait)
    assert next_look(ScanState.TOO_LARGE, now, now) == now + timedelta(days=1)
    assert [next_try(one) // timedelta(minutes=1) for one in (1, 2, 3, 6, 7, 8, 900)] == [1, 2, 4, 32, 60, 60, 60]


async def versions_of(person: Person, file: Json) -> list[Json]:
    answer = await person.client.get(f"{FILES}/{file['id']}/versions")
    assert answer.status_code == 200, answer.text
    listed: list[Json] = answer.json()["versions"]
    return listed


async def found(person: Person, words: str) -> list[Json]:
    answer = await person.client.get("/api/search", params={"q": words, "kinds": "file"})
    assert answer.status_code == 200, answer.text
    results: list[Json] = answer.json()["results"]
    return results


async def swap(platform: Platform, stored: StoredObject, bytes_: bytes) -> None:
    """As if signatures had come that know what is in there."""
    await platform.part(BlobDoor).put(stored.key, bytes_)


async def doomed(platform: Platform, key: str) -> bool:
    async with platform.database.reading() as session:
        return await session.scalar(select(DoomedObject.key).where(DoomedObject.key == key)) is not None
