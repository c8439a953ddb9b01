"""Retries long after: what time and the catalogue would refuse today gets its first answer all the same."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.catalogue import Catalogue
from tests.conftest import Person, client_of, register
from tests.domains.ai_credits.test_routes import balance, grant
from tests.support.settings import ADMIN_KEY

Json = dict[str, Any]
CHAT: Final = "CHAT_ASSISTANT"
WITHDRAWN: Final = "DELETE FROM credit_price_rules WHERE service = 'CHAT_ASSISTANT'"
DEARER: Final = "INSERT INTO credit_price_rules VALUES ('CHAT_ASSISTANT', 9, 600000000, '2020-01-01T00:00:00Z')"
CHANGES: Final = {"unknown_service": WITHDRAWN, "amount_too_large": DEARER}


@dataclass
class Own:
    """An installation of its own, whose prices may change."""

    platform: Platform
    person: Person
    anybody: httpx.AsyncClient

    async def run(self, statement: str, **values: Any) -> None:
        async with self.platform.database.transaction() as session:
            await session.execute(text(statement), values)
        self.platform.part(Catalogue).forget()

    async def post(self, path: str, key: str, **body: Any) -> httpx.Response:
        return await self.person.client.post(path, headers={"Idempotency-Key": key}, json=body)

    async def operate(self, path: str, key: str, **body: Any) -> httpx.Response:
        headers = {"x-admin-key": ADMIN_KEY, "Idempotency-Key": key}
        return await self.anybody.post(path, headers=headers, json={"reason": "for the test", **body})


@pytest.fixture
async def own(fresh_platform: Platform) -> AsyncIterator[Own]:
    app = create_app(fresh_platform.settings, fresh_platform)
    person = await register(app)
    async with client_of(app) as anybody:
        await grant(anybody, userId=str(person.id), amount=100)
        yield Own(fresh_platform, person, anybody)
    await person.client.aclose()


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("path", ["/api/credits/spend", "/api/credits/holds"])
@pytest.mark.parametrize("refusal", CHANGES)
async def test_work_whose_price_is_gone_or_too_high_now(own: Own, path: str, refusal: str) -> None:
    first = await own.post(path, "k", service=CHAT, quantity=2)
    assert first.status_code in (200, 201), first.text
    before = await balance(own.person)
    await own.run(CHANGES[refusal])
    again = await own.post(path, "k", service=CHAT, quantity=2)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert code_of(await own.post(path, "k", service=CHAT, quantity=3)) == (422, "idempotency_key_reused")
    assert code_of(await own.post(path, "new", service=CHAT, quantity=2)) == (422, refusal)
    assert await balance(own.person) == before


async def test_a_refusal_is_answered_again_as_it_was(own: Own) -> None:
    await own.post("/api/credits/spend", "all", amount=110)
    first = await own.post("/api/credits/spend", "k", service=CHAT)
    assert code_of(first) == (402, "insufficient_credits")
    await own.run(WITHDRAWN)
    again = await own.post("/api/credits/spend", "k", service=CHAT)
    assert (code_of(again), again.headers["Idempotent-Replayed"]) == (code_of(first), "true")
    assert again.json()["needed"] == first.json()["needed"]


@pytest.mark.parametrize("refusal", CHANGES)
async def test_an_item_of_a_batch_whose_price_is_gone_or_too_high_now(own: Own, refusal: str) -> None:
    items: list[Json] = [
        {"service": CHAT, "quantity": 2, "idempotencyKey": "a"},
        {"amount": 1, "idempotencyKey": "b"},
    ]

    async def batch() -> list[Json]:
        answer = await own.person.client.post("/api/credits/spend:batch", json={"items": items})
        assert answer.status_code == 200, answer.text
        results: list[Json] = answer.json()["results"]
        return results

    first = await batch()
    assert [one["status"] for one in first] == [200, 200]
    await own.run(CHANGES[refusal])
    assert await batch() == [{**one, "replayed": True} for one in first]
    items[0]["idempotencyKey"] = "c"
    refused, other = await batch()
    assert (refused["status"], refused["problem"]["code"], refused["replayed"]) == (422, refusal, False)
    assert other["status"] == 200


async def test_a_grant_whose_expiry_has_passed(own: Own) -> None:
    ends = (own.platform.clock.now() + timedelta(days=2)).isoformat()
    body = {"userId": str(own.person.id), "amount": 7, "expiresAt": ends}
    first = await own.operate("/api/credits/grant", "k", **body)
    assert first.status_code == 200, first.text
    own.platform.clock.shift_to(timedelta(days=3))
    again = await own.operate("/api/credits/grant", "k", **body)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await own.operate("/api/credits/grant", "k", **{**body, "amount": 8})
    assert code_of(other) == (422, "idempotency_key_reused")
    assert code_of(await own.operate("/api/credits/grant", uuid4().hex, **body)) == (422, "expiry_passed")


@pytest.mark.parametrize("path", ["/api/credits/grant", "/api/credits/adjust"])
async def test_an_account_that_was_deleted_meanwhile(own: Own, path: str) -> None:
    answer = await own.person.client.post("/api/workspaces", json={"name": "Acme"})
    workspace = answer.json()["workspace"]["id"]
    first = await own.operate(path, "k", workspaceId=workspace, amount=7)
    assert first.status_code == 200, first.text
    deleted = "UPDATE workspaces SET deleted_at = :now WHERE id = :id"
    await own.run(deleted, id=workspace, now=own.platform.clock.now())
    again = await own.operate(path, "k", workspaceId=workspace, amount=7)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await own.operate(path, "k", workspaceId=workspace, amount=8)
    assert code_of(other) == (422, "idempotency_key_reused")
    assert code_of(await own.operate(path, "new", workspaceId=workspace, amount=7)) == (422, "account_not_found")
