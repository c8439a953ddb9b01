"""What tests of holds and charges do over HTTP."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx

from tests.conftest import Person
from tests.support.settings import ADMIN_KEY

Json = dict[str, Any]


async def post(person: Person, path: str, key: str | None = None, **body: Any) -> httpx.Response:
    """Under a key of its own, unless one is given."""
    headers = {"Idempotency-Key": key or uuid4().hex}
    return await person.client.post(f"/api/{path}", headers=headers, json=body)


async def place(person: Person, key: str | None = None, **body: Any) -> httpx.Response:
    return await post(person, "credits/holds", key, **body)


async def placed(person: Person, **body: Any) -> Json:
    """A hold that was placed without trouble."""
    answer = await place(person, **body)
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()["hold"]
    return found


async def act(person: Person, hold: Json, action: str, key: str | None = None, **body: Any) -> httpx.Response:
    """`capture`, `release` or `extend`."""
    return await post(person, f"credits/holds/{hold['id']}/{action}", key, **body)


async def get_hold(person: Person, hold: Json) -> Json:
    answer = await person.client.get(f"/api/credits/holds/{hold['id']}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["hold"]
    return found


async def balance(person: Person, **query: str) -> Json:
    """The whole balance, after its own identity was checked."""
    answer = await person.client.get("/api/credits/balance", params=query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["balance"]
    identity = found["identity"]
    assert identity["granted"] == sum(value for name, value in identity.items() if name != "granted")
    return found


async def figures(person: Person, **query: str) -> tuple[int, int, int]:
    """(current, held, spent)."""
    found = await balance(person, **query)
    return found["current"], found["held"], found["identity"]["spent"]


async def grant(client: httpx.AsyncClient, amount: int, **whom: str) -> None:
    body = {"amount": amount, "reason": "for the test", "idempotencyKey": uuid4().hex, **whom}
    answer = await client.post("/api/credits/grant", headers={"x-admin-key": ADMIN_KEY}, json=body)
    assert answer.status_code == 200, answer.text


async def is_proved(person: Person, **query: str) -> bool:
    answer = await person.client.get("/api/credits/verify", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["verification"]["problems"] == []
    return bool(answer.json()["verification"]["ok"])


async def new_pool(owner: Person, credits: int) -> str:
    """A workspace of theirs with credits; its id."""
    made = await owner.client.post("/api/workspaces", json={"name": "Pool"})
    pool: str = made.json()["workspace"]["id"]
    await grant(owner.client, credits, workspaceId=pool)
    return pool


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def told(answer: httpx.Response) -> tuple[int, str]:
    """(status, code) of a refusal."""
    return answer.status_code, answer.json()["code"]
