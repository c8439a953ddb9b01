"""A pool of twenty members, asked by all of them at once in two processes: no cap is passed by a credit."""

import asyncio
from uuid import UUID, uuid4

import httpx
import pytest

from pm_api.core.actor import Actor, ActorKind
from pm_api.identity import members
from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.races.town import Town, after, done, outcomes
from tests.support.plans import have_room
from tests.support.soak import rounds

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("processes")]

MEMBERS = 20
TASKS = "TASK_GENERATION"
TASK_COST = 3


async def make_pool(town: Town, owner: Person, people: list[Person], credits: int) -> str:
    headers = {"Authorization": f"Bearer {owner.access_token}"}
    made = await done(town.apis[0].post("/api/workspaces", headers=headers, json={"name": "Pool"}), 201)
    pool: str = made["workspace"]["id"]
    async with town.platform.database.transaction() as session:
        await have_room(session, town.platform, UUID(pool))
        for one in people:
            await members.add(session, town.platform, Actor(ActorKind.SYSTEM), UUID(pool), one.id, Role.MEMBER)
    await town.grant(credits, workspaceId=pool)
    return pool


async def put_cap(town: Town, owner: Person, pool: str, subject: str, amount: int) -> httpx.Response:
    return await town.apis[1].put(
        f"/api/credits/pool/caps/{subject}",
        headers={"Authorization": f"Bearer {owner.access_token}", "Idempotency-Key": uuid4().hex},
        params={"workspaceId": pool},
        json={"amount": amount, "window": "DAY"},
    )


async def cap(town: Town, owner: Person, pool: str, subject: str, amount: int) -> None:
    answer = await put_cap(town, owner, pool, subject, amount)
    assert answer.is_success, answer.text


async def used(town: Town, owner: Person, pool: str) -> dict[str, int | None]:
    """By subject of the pool's caps."""
    found = await town.get(owner, "pool", workspaceId=pool)
    return {one["subject"]: one["used"] for one in found["pool"]["caps"]}


async def counters(town: Town, pool: str) -> dict[str, int]:
    rows = await town.query(
        "SELECT subject, used FROM credit_cap_usage WHERE account_id = CAST(:id AS uuid) AND cap_window = 'DAY'",
        id=pool,
    )
    return {subject: count for subject, count in rows}  # noqa: C416  rows are not pairs to mypy


async def test_twenty_members_at_the_boundary_of_caps(town: Town) -> None:
    owner, people = await town.settle(), [await town.settle() for _ in range(MEMBERS)]
    for turn in range(rounds(2, 60)):
        pool = await make_pool(town, owner, people, 10_000)
        await cap(town, owner, pool, f"service:{TASKS}", 100)
        answers = await asyncio.gather(
            *(
                # Half of them set aside what they use, half use it at once: both count.
                town.post(
                    number + turn,
                    people[number % MEMBERS],
                    ("spend", "holds")[number // MEMBERS % 2],
                    service=TASKS,
                    workspaceId=pool,
                )
                for number in range(3 * MEMBERS)
            )
        )
        assert outcomes(answers) == {"done": 33, "spending_cap_reached": 27}
        refusal = next(answer.json() for answer in answers if not answer.is_success)
        assert (refusal["subject"], refusal["limit"], refusal["used"]) == (f"service:{TASKS}", 100, 99)

        await cap(town, owner, pool, "role:MEMBER", 12)
        answers = await asyncio.gather(
            *(
                town.spend(number + turn, people[number % MEMBERS], 2, workspaceId=pool)
                for number in range(7 * MEMBERS)
            )
        )
        told = outcomes(answers)
        counted = await counters(town, pool)
        mine = [counted[f"member:{person.id}"] for person in people]
        assert all(11 <= one <= 12 for one in mine), "up to the cap, less what a step of two cannot take"
        assert told["done"] * 2 + 99 == sum(mine)
        assert told["done"] + told["spending_cap_reached"] == 7 * MEMBERS
        assert await used(town, owner, pool) == {f"service:{TASKS}": 99, "role:MEMBER": None}
        identity = await town.prove(owner, workspaceId=pool)
        assert identity["held"] + identity["spent"] == 99 + told["done"] * 2


async def test_a_cap_set_while_members_spend_has_counted_all_they_spent(town: Town) -> None:
    owner, people = await town.settle(), [await town.settle() for _ in range(MEMBERS)]
    for turn in range(rounds(3, 60)):
        pool = await make_pool(town, owner, people, 10_000)
        answers, _ = await asyncio.gather(
            asyncio.gather(
                *(
                    after(
                        number // 10 * 0.005,
                        town.post(
                            number,
                            people[number % MEMBERS],
                            ("spend", "holds")[number % 2],
                            service=TASKS,
                            workspaceId=pool,
                        ),
                    )
                    for number in range(60)
                )
            ),
            after(turn % 3 * 0.01, put_cap(town, owner, pool, f"service:{TASKS}", 5000)),
        )
        assert outcomes(answers) == {"done": 60}
        spent = TASK_COST * 60
        assert await used(town, owner, pool) == {f"service:{TASKS}": spent}
        identity = await town.prove(owner, workspaceId=pool)
        assert identity["held"] + identity["spent"] == spent


async def test_a_cap_changed_back_and_forth_while_members_spend_is_never_passed(town: Town) -> None:
    owner, people = await town.settle(), [await town.settle() for _ in range(MEMBERS)]
    for turn in range(rounds(2, 60)):
        pool = await make_pool(town, owner, people, 10_000)
        await cap(town, owner, pool, f"service:{TASKS}", 30)

        async def change(pool: str = pool) -> None:
            for amount in (90, 30, 90):
                await cap(town, owner, pool, f"service:{TASKS}", amount)

        *answers, _ = await asyncio.gather(
            *(
                town.post(number + turn, people[number % MEMBERS], "spend", service=TASKS, workspaceId=pool)
                for number in range(60)
            ),
            change(),
        )
        told = outcomes([answer for answer in answers if answer is not None])
        assert 10 <= told["done"] <= 30
        assert told["done"] + told["spending_cap_reached"] == 60
        assert await used(town, owner, pool) == {f"service:{TASKS}": TASK_COST * told["done"]}
        await town.prove(owner, workspaceId=pool)
