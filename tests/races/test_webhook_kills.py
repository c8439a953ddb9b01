"""Power cuts while webhooks are sent: nothing is lost, and what is sent twice has the same id both times."""

import asyncio
import random
from collections import defaultdict
from uuid import UUID

import pytest
from sqlalchemy import text

from pm_api.core.platform import Platform
from tests.conftest import open_platform
from tests.domains.webhooks_out.places import THINGS, Place, open_place
from tests.support import processes
from tests.support.clock import MovableClock
from tests.support.receivers import Received, receiving
from tests.support.settings import settings_for
from tests.support.soak import rounds

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("processes")]

CUTS = rounds(2, 25)
CHANGES_A_ROUND = 60
PATIENCE_S = 60
HERE = "127.0.0.0/8"


async def let_claims_lapse(platform: Platform) -> None:
    """As if the minute were over for which a dead worker has its endpoint."""
    async with platform.database.transaction() as session:
        await session.execute(
            text("UPDATE webhook_endpoints SET claimed_until = claimed_until - interval '2 minutes'")
        )


async def all_delivered(place: Place) -> None:
    while True:
        async with place.platform.database.reading() as session:
            rows = await session.execute(
                text("SELECT e.position, f.position FROM webhook_endpoints e JOIN feeds f ON f.id = e.workspace_id")
            )
            [(reached, end)] = rows.all()
        if reached == end and {status for _, status in await place.statuses()} == {"DELIVERED"}:
            return
        await asyncio.sleep(0.2)


async def test_workers_that_are_killed_between_sending_and_settling(fresh_database: str) -> None:
    dice = random.Random(9)
    numbers: dict[int, int] = defaultdict(int)
    written = 0
    cut_at, cut = 0, asyncio.Event()
    async with (
        open_platform(settings_for(fresh_database, webhooks={"allow_networks": HERE}), MovableClock()) as platform,
        receiving() as receiver,
    ):
        place = await open_place(platform, receiver.url)

        async def answer(_one: Received) -> int:
            if cut_at and len(receiver.received) >= cut_at:
                cut.set()
                # Whoever sent it is dead before it hears of this.
                await asyncio.sleep(0.5)
            return 200

        receiver.answer = answer
        for turn in range(CUTS + 1):
            for _ in range(CHANGES_A_ROUND):
                thing = dice.randrange(len(THINGS))
                numbers[thing] += 1
                written += 1
                await place.write(numbers[thing], thing)
            is_last = turn == CUTS
            cut_at = 0 if is_last else len(receiver.received) + dice.randrange(1, CHANGES_A_ROUND)
            cut.clear()
            async with (
                processes.worker(fresh_database, PM_WEBHOOKS_ALLOW_NETWORKS=HERE) as worker,
                asyncio.timeout(PATIENCE_S),
            ):
                if not is_last:
                    await cut.wait()
                    worker.kill()
                    assert await worker.handle.wait() == -9
                else:
                    await all_delivered(place)
                    assert await worker.stop() == 0
            await let_claims_lapse(platform)
        ids: dict[tuple[str, int], set[UUID]] = defaultdict(set)
        first: dict[str, list[int]] = defaultdict(list)
        for one in receiver.received:
            told = one.data["id"], one.version
            if told not in ids:
                first[one.data["id"]].append(one.version)
            ids[told].add(one.id)
            one.verify(place.secret)
    assert first == {str(THINGS[thing]): list(range(1, count + 1)) for thing, count in numbers.items()}
    assert all(len(found) == 1 for found in ids.values()), "a repetition has the id of the first"
    assert len(ids) == written
    repeated = len(receiver.received) - written
    assert CUTS <= repeated <= CUTS * 100, "what was on its way, and no more"
