"""Two API processes on one database: every spend counts exactly once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.conftest import PASSWORD
from tests.support import processes
from tests.support.settings import ADMIN_KEY

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("processes")]


@pytest.fixture
async def two_apis(fresh_database: str) -> AsyncIterator[list[httpx.AsyncClient]]:
    async with AsyncExitStack() as stack:
        running = await asyncio.gather(*(stack.enter_async_context(processes.api(fresh_database)) for _ in range(2)))
        yield [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=one.url, timeout=30, trust_env=False, verify=False, limits=httpx.Limits())
            )
            for one in running
        ]


async def sign_up(api: httpx.AsyncClient) -> dict[str, str]:
    """Headers of a new person, who has the free plan's 10 credits."""
    answer = await api.post(
        "/api/auth/register",
        json={"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "name": "Racer"},
    )
    assert answer.status_code == 201, answer.text
    return {
        "Authorization": f"Bearer {answer.json()['accessToken']}",
        "X-Test-User": answer.json()["user"]["id"],
    }


async def grant(api: httpx.AsyncClient, user: dict[str, str], amount: int, key: str) -> None:
    answer = await api.post(
        "/api/credits/grant",
        headers={"x-admin-key": ADMIN_KEY, "Idempotency-Key": key},
        json={"userId": user["X-Test-User"], "amount": amount, "reason": "race"},
    )
    assert answer.status_code == 200, answer.text


async def verification(api: httpx.AsyncClient, user: dict[str, str]) -> dict[str, Any]:
    answer = await api.get("/api/credits/verify", headers=user)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["verification"]
    identity = found["identity"]
    assert found["ok"], found["problems"]
    assert identity["granted"] == sum(value for name, value in identity.items() if name != "granted")
    return found


async def test_one_spend_sent_fifty_times_at_once_is_one_debit(two_apis: list[httpx.AsyncClient]) -> None:
    user = await sign_up(two_apis[0])

    async def send(index: int) -> httpx.Response:
        return await two_apis[index % 2].post(
            "/api/credits/spend",
            headers={**user, "Idempotency-Key": "the-one"},
            json={"amount": 3, "description": "once", "metadata": {"a": 1}},
        )

    answers = await asyncio.gather(*(send(index) for index in range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 50}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert (await verification(two_apis[1], user))["balance"] == 7


async def test_ten_spends_of_three_against_three_lots_of_three(two_apis: list[httpx.AsyncClient]) -> None:
    user = await sign_up(two_apis[0])
    await two_apis[0].post("/api/credits/spend", headers={**user, "Idempotency-Key": "empty"}, json={"amount": 10})
    for index in range(3):
        await grant(two_apis[index % 2], user, 3, f"lot-{index}")

    async def send(index: int) -> httpx.Response:
        return await two_apis[index % 2].post(
            "/api/credits/spend", headers={**user, "Idempotency-Key": f"spend-{index}"}, json={"amount": 3}
        )

    answers = await asyncio.gather(*(send(index) for index in range(10)))
    assert Counter(answer.status_code for answer in answers) == {200: 3, 402: 7}
    refusals = [answer.json() for answer in answers if answer.status_code == 402]
    assert {refusal["code"] for refusal in refusals} == {"insufficient_credits"}
    assert (await verification(two_apis[0], user))["balance"] == 0


async def test_a_refusal_is_pinned_to_its_key(two_apis: list[httpx.AsyncClient]) -> None:
    user = await sign_up(two_apis[0])
    headers = {**user, "Idempotency-Key": "too-much"}
    first = await two_apis[0].post("/api/credits/spend", headers=headers, json={"amount": 50})
    await grant(two_apis[0], user, 100, "later")
    again = await two_apis[1].post("/api/credits/spend", headers=headers, json={"amount": 50})
    assert (first.status_code, again.status_code) == (402, 402)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert first.json()["available"] == 10
    fresh = await two_apis[1].post(
        "/api/credits/spend", headers={**user, "Idempotency-Key": "enough-now"}, json={"amount": 50}
    )
    assert fresh.status_code == 200


async def test_many_accounts_and_keys_at_once_add_up(two_apis: list[httpx.AsyncClient]) -> None:
    """Retries, other content under a known key and too large spends, all mixed in the same batches."""
    people = [await sign_up(two_apis[index % 2]) for index in range(4)]

    async def send(person: dict[str, str], index: int) -> httpx.Response:
        key = f"k{index % 12}"
        amount = 1 if index % 5 else 2
        return await two_apis[index % 2].post(
            "/api/credits/spend", headers={**person, "Idempotency-Key": key}, json={"amount": amount}
        )

    answers = await asyncio.gather(*(send(person, index) for index in range(60) for person in people))
    assert {answer.status_code for answer in answers} <= {200, 402, 422}
    debits: Counter[str] = Counter()
    for answer in answers:
        if answer.status_code == 200 and "Idempotent-Replayed" not in answer.headers:
            entry = answer.json()["entry"]
            debits[entry["accountId"]] -= entry["amount"]
    for person in people:
        found = await verification(two_apis[0], person)
        assert found["identity"]["spent"] == debits[person["X-Test-User"]] <= 10
