"""What tests of pools do over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.ai_credits import holding
from tests.identity.teams import join
from tests.support.clock import MovableClock

Json = dict[str, Any]
NOON = datetime(2031, 5, 14, 12, tzinfo=UTC)


def stand_at(clock: MovableClock, moment: datetime) -> None:
    """Business time alone: everybody stays signed in."""
    clock.shift_to(moment - clock.wall())


def later(clock: MovableClock, **duration: float) -> None:
    stand_at(clock, clock.now() + timedelta(**duration))


async def spend(person: Person, pool: str, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key or uuid4().hex}
    return await person.client.post("/api/credits/spend", headers=headers, json={"workspaceId": pool, **body})


async def spent(person: Person, pool: str, **body: Any) -> Json:
    answer = await spend(person, pool, **body)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def refused(person: Person, pool: str, key: str | None = None, **body: Any) -> Json:
    """A spend that a cap stops."""
    answer = await spend(person, pool, key, **body)
    assert (answer.status_code, answer.json()["code"]) == (402, "spending_cap_reached"), answer.text
    found: Json = answer.json()
    return found


async def cap(
    person: Person, pool: str, subject: str, amount: int, window: str = "DAY", *, status: int = 200, match: str = "*"
) -> Json:
    answer = await person.client.put(
        f"/api/credits/pool/caps/{subject}",
        params={"workspaceId": pool},
        headers={"If-Match": match},
        json={"amount": amount, "window": window},
    )
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found["cap"] if status == 200 else found


async def uncap(person: Person, pool: str, subject: str, **query: str) -> httpx.Response:
    return await person.client.delete(f"/api/credits/pool/caps/{subject}", params={"workspaceId": pool, **query})


async def pool_of(person: Person, pool: str | None = None) -> Json:
    answer = await person.client.get("/api/credits/pool", params={"workspaceId": pool} if pool else {})
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["pool"]
    return found


async def caps_of(person: Person, pool: str) -> dict[tuple[str, str], Json]:
    return {(one["subject"], one["window"]): one for one in (await pool_of(person, pool))["caps"]}


async def used(person: Person, pool: str) -> dict[tuple[str, str], int | None]:
    return {key: one["used"] for key, one in (await caps_of(person, pool)).items()}


async def team(
    new_person: NewPerson, platform: Platform, *roles: Role, credits: int = 1000
) -> tuple[str, Person, list[Person]]:
    """A pool with credits, its owner, and members in these roles."""
    owner = await new_person(name="Olga Owner")
    pool = await holding.new_pool(owner, credits)
    people = []
    for number, role in enumerate(roles):
        one = await new_person(name=f"Person {number}")
        await join(platform, pool, one, role)
        people.append(one)
    return pool, owner, people
