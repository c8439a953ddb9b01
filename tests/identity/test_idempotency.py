"""Idempotency-Key, over the route that makes workspaces: one intention, one workspace, one answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.app import create_app
from pm_api.core import idempotency
from pm_api.core.db import BeforeCommit, before_commit
from pm_api.core.errors import Conflict
from pm_api.core.idempotency import WAIT_S, request_fingerprint
from pm_api.core.idempotency_upkeep import delete_expired_keys
from pm_api.core.platform import Platform
from pm_api.core.tables import IdempotencyKey
from pm_api.identity import members
from pm_api.identity.models.people import Workspace
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person, client_of, open_platform, register
from tests.identity.teams import make_workspace, unique_slug
from tests.support.clock import MovableClock
from tests.support.plans import have_room
from tests.support.settings import settings_for

PATH = "/api/workspaces"
REPLAYED = "idempotent-replayed"


def a_key() -> str:
    return uuid4().hex


async def create(person: Person, key: str, **fields: Any) -> httpx.Response:
    return await person.client.post(PATH, json={"name": "Acme", **fields}, headers={"Idempotency-Key": key})


async def stored(platform: Platform, key: str) -> IdempotencyKey | None:
    async with platform.database.reading() as session:
        return await session.scalar(select(IdempotencyKey).where(IdempotencyKey.key == key))


async def workspaces_with(platform: Platform, slug: str) -> int:
    async with platform.database.reading() as session:
        return await session.scalar(select(func.count()).where(Workspace.slug.startswith(slug))) or 0


@asynccontextmanager
async def key_in_use(platform: Platform, person: Person, key: str) -> AsyncIterator[None]:
    """As if the first request with this key were still being worked on."""
    lock = func.hashtextextended(f"user:{person.id}\ncreateWorkspace\n{key}", 0)
    async with platform.database.transaction() as session:
        assert await session.scalar(select(func.pg_try_advisory_xact_lock(lock)))
        yield


# --- replays ---------------------------------------------------------------------------------------------------


async def test_the_stored_answer_comes_again(person: Person, platform: Platform) -> None:
    key, slug = a_key(), unique_slug()
    first = await create(person, key, slug=slug)
    assert first.status_code == 201
    assert REPLAYED not in first.headers
    await person.client.patch(first.headers["location"], json={"name": "Changed since"})
    again = await create(person, key, slug=slug)
    assert (again.status_code, again.headers[REPLAYED]) == (201, "true")
    assert again.content == first.content
    for name in ("location", "etag", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert await workspaces_with(platform, slug) == 1


async def test_a_route_without_a_body_is_replayed_too(person: Person) -> None:
    workspace = await make_workspace(person)
    headers = {"Idempotency-Key": a_key()}
    path = f"{PATH}/{workspace['id']}/archive"
    first = await person.client.post(path, headers=headers)
    again = await person.client.post(path, headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    other = await make_workspace(person)
    reused = await person.client.post(f"{PATH}/{other['id']}/archive", headers=headers)
    assert reused.json()["code"] == "idempotency_key_reused"


async def test_another_request_under_the_key_is_refused(person: Person, platform: Platform) -> None:
    key, slug = a_key(), unique_slug()
    await create(person, key, slug=slug)
    other = await create(person, key, slug=f"{slug}-2")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert REPLAYED not in other.headers
    assert await workspaces_with(platform, slug) == 1


async def test_order_and_spacing_do_not_make_another_request(person: Person) -> None:
    key, slug = a_key(), unique_slug()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    first = await person.client.post(PATH, content=f'{{"name":"A","slug":"{slug}"}}', headers=headers)
    again = await person.client.post(PATH, content=f'{{ "slug" : "{slug}",\n "name" : "A" }}', headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers[REPLAYED] == "true"
    assert again.content == first.content


async def test_a_key_belongs_to_its_caller_and_route(new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    key = a_key()
    first = await create(ann, key)
    second = await create(bob, key)
    assert second.status_code == 201
    assert REPLAYED not in second.headers
    assert first.json()["workspace"]["id"] != second.json()["workspace"]["id"]
    elsewhere = await ann.client.post(f"{first.headers['location']}/archive", headers={"Idempotency-Key": key})
    assert elsewhere.status_code == 200
    assert REPLAYED not in elsewhere.headers


async def test_a_key_opens_no_gate(client: httpx.AsyncClient, person: Person) -> None:
    key = a_key()
    assert (await create(person, key)).status_code == 201
    answer = await client.post(PATH, json={"name": "Acme"}, headers={"Idempotency-Key": key})
    assert answer.status_code == 401


async def test_who_shut_the_gate_themselves_reads_what_they_did(
    person: Person, platform: Platform, new_person: NewPerson
) -> None:
    """After the transfer its caller may not transfer any more: a retry of it is no such try."""
    workspace, heir, key = await make_workspace(person), await new_person(), a_key()
    async with platform.database.transaction() as session:
        await have_room(session, platform, UUID(workspace["id"]))
        await members.insert_member(session, platform, UUID(workspace["id"]), heir.id, Role.MEMBER)
    path, body = f"{PATH}/{workspace['id']}/transfer", {"userId": str(heir.id)}
    first = await person.client.post(path, json=body, headers={"Idempotency-Key": key})
    assert first.status_code == 200
    again = await person.client.post(path, json=body, headers={"Idempotency-Key": key})
    assert (again.status_code, again.content, again.headers[REPLAYED]) == (200, first.content, "true")
    for sent, other in ((a_key(), body), (key, {"userId": str(person.id)})):
        refused = await person.client.post(path, json=other, headers={"Idempotency-Key": sent})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), "another intention"
    nobodys = await heir.client.post(f"{PATH}/{uuid4()}/transfer", json=body, headers={"Idempotency-Key": key})
    assert nobodys.status_code == 404


# --- refusals --------------------------------------------------------------------------------------------------


async def test_a_business_refusal_is_stored(person: Person, platform: Platform) -> None:
    taken = await make_workspace(person)
    key = a_key()
    first = await create(person, key, slug=taken["slug"])
    assert (first.status_code, first.json()["code"]) == (409, "slug_taken")
    await person.client.patch(f"{PATH}/{taken['id']}", json={"slug": unique_slug()})
    again = await create(person, key, slug=taken["slug"])
    assert (again.status_code, again.headers[REPLAYED]) == (409, "true")
    assert again.content == first.content
    assert again.headers["content-type"] == "application/problem+json"
    assert await workspaces_with(platform, taken["slug"]) == 0
    assert (await create(person, a_key(), slug=taken["slug"])).status_code == 201, "a new intention"


async def test_a_wrong_request_is_not_stored(person: Person, platform: Platform) -> None:
    key = a_key()
    wrong = await create(person, key, slug="No Slug")
    assert wrong.status_code == 422
    assert await stored(platform, key) is None
    assert (await create(person, key)).status_code == 201


async def test_a_failure_is_not_stored(person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    key, slug = a_key(), unique_slug()

    async def fail(*_arguments: object, **_named: object) -> None:
        raise RuntimeError("after the workspace was written")

    with monkeypatch.context() as broken:
        broken.setattr("pm_api.identity.members.announce", fail)
        assert (await create(person, key, slug=slug)).status_code == 500
    assert await stored(platform, key) is None
    assert await workspaces_with(platform, slug) == 0
    assert (await create(person, key, slug=slug)).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "schlüssel"])
async def test_a_key_is_short_and_printable(person: Person, platform: Platform, key: str) -> None:
    answer = await person.client.post(
        PATH, json={"name": "Acme"}, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_idempotency_key")


async def test_a_long_key_is_a_key(person: Person) -> None:
    key = (a_key() * 8)[:255]
    assert (await create(person, key)).status_code == 201
    assert (await create(person, key)).headers[REPLAYED] == "true"


# --- at the same time ------------------------------------------------------------------------------------------


async def test_twenty_at_once_make_one_workspace(person: Person, platform: Platform) -> None:
    key, slug = a_key(), unique_slug()
    answers = await asyncio.gather(*(create(person, key, slug=slug) for _ in range(20)))
    assert [one.status_code for one in answers] == [201] * 20
    assert len({one.content for one in answers}) == 1
    assert sum(REPLAYED in one.headers for one in answers) == 19
    assert await workspaces_with(platform, slug) == 1


async def test_a_request_still_running_is_waited_for(person: Person, platform: Platform) -> None:
    key = a_key()
    async with key_in_use(platform, person, key):
        waiting = asyncio.create_task(create(person, key))
        await asyncio.sleep(0.15)
        assert not waiting.done()
    assert (await waiting).status_code == 201


async def test_the_wait_ends_after_two_seconds(person: Person, platform: Platform) -> None:
    assert WAIT_S == 2.0
    key = a_key()
    began = asyncio.get_running_loop().time()
    async with key_in_use(platform, person, key):
        answer = await create(person, key)
    waited_s = asyncio.get_running_loop().time() - began
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_in_progress")
    assert answer.headers["retry-after"] == "1"
    assert 1.9 < waited_s < 10
    assert (await create(person, key)).status_code == 201, "the refusal to wait longer is not the answer"


async def test_waiting_holds_no_connection(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "WAIT_S", 8.0)
    settings = settings_for(fresh_database, database_pool_size=1, database_pool_overflow=0)
    async with open_platform(settings, MovableClock()) as narrow:
        app = create_app(settings, narrow)
        person = await register(app)
        key = a_key()
        connection = await narrow.database.dedicated_connection()
        async with connection.transaction():
            lock = f"user:{person.id}\ncreateWorkspace\n{key}"
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", lock)
            waiting = [asyncio.create_task(create(person, key)) for _ in range(5)]
            await asyncio.sleep(0.1)
            async with asyncio.timeout(5):
                assert (await person.client.get(PATH)).status_code == 200
            assert not any(one.done() for one in waiting)
        assert {one.status_code for one in await asyncio.gather(*waiting)} == {201}
        await connection.close()
        await person.client.aclose()


# --- at rest ---------------------------------------------------------------------------------------------------


async def test_answers_rest_sealed(person: Person, platform: Platform) -> None:
    key, name = a_key(), "An unmistakable name"
    first = await create(person, key, name=name)
    row = await stored(platform, key)
    assert row is not None
    assert row.sealed_answer is not None
    assert (row.status_code, row.caller, row.route) == (201, f"user:{person.id}", "createWorkspace")
    for secret in (name, first.json()["workspace"]["id"], "workspace"):
        assert secret.encode() not in row.sealed_answer
        assert secret.encode() not in row.fingerprint


async def test_a_sealed_answer_is_bound_to_its_row(person: Person, platform: Platform) -> None:
    first, second = a_key(), a_key()
    for key in (first, second):
        await create(person, key)
    async with platform.database.transaction() as session:
        await session.execute(
            text(
                "UPDATE idempotency_keys AS target SET sealed_answer = source.sealed_answer"
                " FROM idempotency_keys AS source WHERE source.key = :a AND target.key = :b"
            ),
            {"a": first, "b": second},
        )
    assert (await create(person, second)).status_code == 500
    assert (await create(person, first)).headers[REPLAYED] == "true"


async def test_keys_are_forgotten_after_48_hours(person: Person, platform: Platform, clock: MovableClock) -> None:
    old, young, slug = a_key(), a_key(), unique_slug()
    await create(person, old, slug=slug)
    clock.advance(hours=24)
    await create(person, young)

    async def sweep() -> None:
        async with platform.database.transaction() as session:
            await delete_expired_keys(session, platform)

    clock.advance(hours=23, minutes=59)
    await sweep()
    assert await stored(platform, old) is not None
    clock.advance(minutes=2)
    await sweep()
    assert await stored(platform, old) is None
    assert await stored(platform, young) is not None
    clock.reset()
    again = await create(person, old, slug=slug)
    assert again.status_code == 409, "a forgotten key is a new intention"


async def test_a_key_that_is_forgotten_while_it_is_asked_for_is_free(
    person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its two days end between the two statements of who asks for it."""
    key, found = a_key(), AsyncSession.get
    assert (await create(person, key, slug=unique_slug())).status_code == 201

    async def forgotten(session: AsyncSession, entity: type, *asked: Any, **more: Any) -> Any:
        if entity is IdempotencyKey:
            async with platform.database.transaction() as sweep:
                await sweep.execute(delete(IdempotencyKey).where(IdempotencyKey.key == key))
        return await found(session, entity, *asked, **more)

    monkeypatch.setattr(AsyncSession, "get", forgotten)
    answer = await create(person, key, slug=unique_slug())
    assert (answer.status_code, answer.headers.get(REPLAYED)) == (201, None)


async def test_without_a_key_nothing_is_kept(person: Person, platform: Platform) -> None:
    await make_workspace(person)
    async with platform.database.reading() as session:
        kept = select(func.count()).where(IdempotencyKey.caller == f"user:{person.id}")
        assert await session.scalar(kept) == 0


async def test_a_second_process_replays(person: Person, worker_database: str) -> None:
    key = a_key()
    first = await create(person, key)
    settings = settings_for(worker_database)
    async with open_platform(settings, MovableClock()) as parts, client_of(create_app(settings, parts)) as elsewhere:
        again = await elsewhere.post(
            PATH,
            json={"name": "Acme"},
            headers={"Idempotency-Key": key, "Authorization": f"Bearer {person.access_token}"},
        )
    assert again.headers[REPLAYED] == "true"
    assert again.content == first.content


# --- at the last moment ----------------------------------------------------------------------------------------


async def register_before_commit(monkeypatch: pytest.MonkeyPatch, callback: BeforeCommit) -> None:
    announce = members.announce

    async def announce_and_register(session: AsyncSession, *arguments: Any, **named: Any) -> None:
        await announce(session, *arguments, **named)
        before_commit(session, "test", callback)

    monkeypatch.setattr("pm_api.identity.members.announce", announce_and_register)


async def test_a_refusal_at_the_last_moment_is_stored(
    person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_session: AsyncSession) -> None:
        raise Conflict("Too late.")

    key, slug = a_key(), unique_slug()
    with monkeypatch.context() as changed:
        await register_before_commit(changed, refuse)
        first = await create(person, key, slug=slug)
    assert (first.status_code, first.json()["detail"]) == (409, "Too late.")
    assert await workspaces_with(platform, slug) == 0
    again = await create(person, key, slug=slug)
    assert (again.status_code, again.headers[REPLAYED]) == (409, "true")


async def test_what_is_written_at_the_last_moment_is_kept(
    person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    slug, late = unique_slug(), f"late-{unique_slug()}"

    async def rename(session: AsyncSession) -> None:
        renamed = text("UPDATE workspaces SET slug = :late WHERE slug = :slug")
        await session.execute(renamed, {"late": late, "slug": slug})

    await register_before_commit(monkeypatch, rename)
    assert (await create(person, a_key(), slug=slug)).status_code == 201
    assert await workspaces_with(platform, late) == 1


@pytest.mark.parametrize("step", ["finish", "refuse"])
async def test_a_failure_while_storing_gives_the_connection_back(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    settings = settings_for(fresh_database, database_pool_size=1, database_pool_overflow=0)
    async with open_platform(settings, MovableClock()) as narrow:
        person = await register(create_app(settings, narrow))
        slug = (await make_workspace(person))["slug"] if step == "refuse" else unique_slug()

        async def fail(*_arguments: object) -> None:
            raise RuntimeError("while storing")

        with monkeypatch.context() as broken:
            broken.setattr(idempotency.IdempotentCall, "_store", fail)
            assert (await create(person, a_key(), slug=slug)).status_code == 500
        assert narrow.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool
        await person.client.aclose()


async def test_deep_json_is_a_request_like_any_other(person: Person) -> None:
    deep = "[" * 400 + "]" * 400
    headers = {"Idempotency-Key": a_key(), "Content-Type": "application/json"}
    answer = await person.client.post(PATH, content=f'{{"name":{deep}}}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert len(request_fingerprint("POST", PATH, "", deep.encode())) == 32
