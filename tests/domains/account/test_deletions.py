"""Asking for an account to be deleted, what stands in the way, and changing one's mind."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.domains.billing.models.refunds import Dispute
from pm_api.identity.permissions import Role
from tests.conftest import PASSWORD, NewPerson, Person, register
from tests.domains.account.leavers import ACCOUNT, sweep
from tests.identity.teams import join, make_workspace
from tests.support.clock import MovableClock
from tests.support.kept import kept
from tests.support.soak import rounds

RESTORE = f"{ACCOUNT}/restore"
Json = dict[str, Any]


async def go(person: Person, body: Json | None = None) -> httpx.Response:
    return await person.client.request("DELETE", ACCOUNT, json={"password": PASSWORD} if body is None else body)


async def state(person: Person) -> Json:
    answer = await person.client.get(ACCOUNT)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["account"]
    return found


async def told(person: Person, type: str) -> list[Json]:
    answer = await person.client.get("/api/notifications", params={"type": type})
    found: list[Json] = answer.json()["notifications"]
    return found


async def sign_in_began_long_ago(platform: Platform, person: Person) -> None:
    async with platform.database.transaction() as session:
        await session.execute(
            text("UPDATE sessions SET created_at = created_at - interval '11 minutes' WHERE user_id = :id"),
            {"id": person.id},
        )


async def test_without_a_token_nothing_is_deleted(client: httpx.AsyncClient) -> None:
    assert (await client.request("DELETE", ACCOUNT, json={})).status_code == 401
    assert (await client.post(RESTORE)).status_code == 401
    assert (await client.get(ACCOUNT)).status_code == 401


async def test_in_the_grace_everything_works_and_signing_in_says_so(
    new_person: NewPerson, client: httpx.AsyncClient
) -> None:
    ann = await new_person()
    answer = await go(ann)
    assert answer.status_code == 202, answer.text
    deletion = answer.json()["account"]["deletion"]
    assert deletion["status"] == "PENDING"
    signed_in = await client.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})
    assert signed_in.status_code == 200, "one can still come in, to change one's mind"
    assert signed_in.json()["user"]["deletesAt"] == deletion["deletesAt"]
    assert (await ann.client.get("/api/auth/me")).json()["user"]["deletesAt"] == deletion["deletesAt"]
    [notice] = await told(ann, "account.deletion")
    assert (notice["category"], notice["data"]["deletesAt"]) == ("SECURITY", deletion["deletesAt"])
    again = await go(ann)
    assert (again.status_code, again.json()["account"]["deletion"]) == (202, deletion), "the first request stands"
    assert len(await told(ann, "account.deletion")) == 1


async def test_a_deletion_is_called_off(new_person: NewPerson, platform: Platform, clock: MovableClock) -> None:
    ann = await new_person()
    refused = await ann.client.post(RESTORE)
    assert (refused.status_code, refused.json()["code"]) == (409, "deletion_not_pending")
    await go(ann)
    kept = await ann.client.post(RESTORE)
    assert (kept.status_code, kept.json()["account"]["deletion"]) == (200, None)
    assert (await ann.client.get("/api/auth/me")).json()["user"]["deletesAt"] is None
    assert len(await told(ann, "account.deletion_called_off")) == 1
    clock.shift_to(timedelta(days=8))
    await sweep(platform, "account.erase_due")
    assert (await ann.client.get("/api/auth/me")).status_code == 200
    assert (await go(ann)).status_code == 202, "one may ask again"


async def test_it_wants_proof(new_person: NewPerson, platform: Platform) -> None:
    fresh, stale = await new_person(), await new_person()
    assert (await go(fresh, {})).status_code == 202, "who has signed in a moment ago has just proved it"
    await sign_in_began_long_ago(platform, stale)
    for body in ({}, {"password": "something else entirely"}):
        refused = await go(stale, body)
        assert (refused.status_code, refused.json()["code"]) == (403, "confirmation_required")
    assert (await state(stale))["deletion"] is None
    assert (await go(stale)).status_code == 202


async def test_bad_bodies_are_refused(new_person: NewPerson) -> None:
    ann = await new_person()
    assert (await go(ann, {"pasword": PASSWORD})).status_code == 422
    assert (await go(ann, {"password": 7})).status_code == 422
    assert (await state(ann))["deletion"] is None


async def test_the_last_owner_of_shared_workspaces_is_told_of_all_of_them(
    new_person: NewPerson, platform: Platform
) -> None:
    ann, bob = await new_person(), await new_person()
    shared = [(await make_workspace(ann, name=f"Shared {number}"))["id"] for number in range(2)]
    await make_workspace(ann, name="Alone")
    owned_by_both = (await make_workspace(ann, name="Two owners"))["id"]
    for one in shared:
        await join(platform, one, bob, Role.ADMIN)
    await join(platform, owned_by_both, bob, Role.OWNER)
    refused = await go(ann)
    assert (refused.status_code, refused.json()["code"]) == (409, "account_not_deletable")
    obstacles = refused.json()["obstacles"]
    assert [one["code"] for one in obstacles] == ["last_owner", "last_owner"]
    assert sorted(one["facts"]["workspaceId"] for one in obstacles) == sorted(shared)
    assert all(one["facts"]["workspaceName"] in one["detail"] for one in obstacles)
    assert (await state(ann))["obstacles"] == obstacles
    assert (await go(bob)).status_code == 202, "bob leaves nobody without an owner"
    for one in shared:
        answer = await ann.client.post(f"/api/workspaces/{one}/transfer", json={"userId": str(bob.id)})
        assert answer.status_code == 200, answer.text
    assert (await go(ann)).status_code == 202


@pytest.mark.parametrize("status", ["OPEN", "WON"])
async def test_an_open_dispute_stands_in_the_way(new_person: NewPerson, platform: Platform, status: str) -> None:
    ann = await new_person()
    alone = (await make_workspace(ann))["id"]
    now = platform.clock.now()
    async with platform.database.transaction() as session:
        for kind, account_id in (("USER", ann.id), ("WORKSPACE", UUID(alone))):
            session.add(
                Dispute(
                    id=uuid4(),
                    account_kind=kind,
                    account_id=account_id,
                    stripe_dispute_id=f"dp_{account_id}",
                    stripe_payment_intent_id="pi_1",
                    stripe_charge_id="ch_1",
                    amount_minor=1,
                    currency="USD",
                    status=status,
                    provider_status="needs_response",
                    reason="general",
                    issued_at=now,
                    synced_at=now,
                    created_at=now,
                    updated_at=now,
                )
            )
    answer = await go(ann)
    if status == "OPEN":
        assert answer.status_code == 409, answer.text
        assert [one["code"] for one in answer.json()["obstacles"]] == ["open_dispute", "open_dispute"]
        assert {one["facts"]["accountId"] for one in answer.json()["obstacles"]} == {str(ann.id), alone}
    else:
        assert answer.status_code == 202, answer.text


async def test_ten_requests_at_once_are_one_deletion(new_person: NewPerson) -> None:
    ann = await new_person()
    answers = await asyncio.gather(*(go(ann, {}) for _ in range(10)))
    assert {one.status_code for one in answers} == {202}
    assert len({one.json()["account"]["deletion"]["id"] for one in answers}) == 1


async def test_calling_off_and_erasing_at_once_end_in_one_of_the_two() -> None:
    """In a database of its own, for the sweep erases everybody who is due."""
    async with kept() as one:
        await _called_off_and_erased_at_once(one.platform)


async def _called_off_and_erased_at_once(platform: Platform) -> None:
    app, clock = create_app(platform.settings, platform), platform.clock
    for _ in range(rounds(3, 20)):
        ann = await register(app)
        await go(ann, {})
        clock.shift_to(clock.offset + timedelta(days=7, minutes=1))
        answer, _ = await asyncio.gather(ann.client.post(RESTORE), sweep(platform, "account.erase_due"))
        async with platform.database.reading() as session:
            row = (
                await session.execute(
                    text(
                        "SELECT d.status, u.erased_at IS NOT NULL, u.email FROM account_deletions d"
                        " JOIN users u ON u.id = d.user_id WHERE u.id = :id"
                    ),
                    {"id": ann.id},
                )
            ).one()
        if answer.status_code == 200:
            assert tuple(row) == ("CANCELLED", False, ann.email)
        else:
            assert answer.status_code in (401, 409)
            assert row[0] == "ERASED"
            assert row[1]
        await ann.client.aclose()
