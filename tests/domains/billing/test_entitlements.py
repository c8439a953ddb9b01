"""What accounts have by the clock, who shares it, and that nobody gets more than it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import text

from pm_api.core import events
from pm_api.core.jobs import Job, JobContext
from pm_api.core.platform import Platform
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.cache import Entitlements
from pm_api.entitlements.enums import AccountType, Plan, Source, Status
from pm_api.entitlements.errors import PlanLimitReached
from pm_api.entitlements.events import EntitlementChanged
from pm_api.entitlements.rules import GRACE, Bought
from pm_api.identity.errors.people import AlreadyMember
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person, open_platform, register
from tests.domains.billing.accounts import GIGABYTE, Installation
from tests.identity.teams import join
from tests.support.clock import MovableClock
from tests.support.plans import bought
from tests.support.settings import settings_for

USER, WORKSPACE = AccountType.USER, AccountType.WORKSPACE
SECOND: Final = timedelta(seconds=1)
DAY: Final = timedelta(days=1)


async def to_have(installation: Installation, account_id: UUID, plan: Plan, **fields: Any) -> Bought:
    async with installation.platform.database.reading() as session:
        return await bought(session, installation.platform, account_id, plan, **fields)


async def plan_of(installation: Installation, account_id: UUID, kind: AccountType = WORKSPACE) -> Plan:
    """As the row says, and as this process remembers it: always the same."""
    standing = await installation.standing(kind, account_id)
    known = await installation.platform.part(Entitlements).standing(kind, account_id)
    assert known == standing
    return standing.plan


async def refusal(installation: Installation, workspace_id: UUID, person: Person, role: Role) -> PlanLimitReached:
    with pytest.raises(PlanLimitReached) as refused:
        await installation.add(workspace_id, person, role)
    return refused.value


# --- by the clock ----------------------------------------------------------------------------------------------


async def test_an_account_nobody_has_bought_for_is_free(installation: Installation, person: Person) -> None:
    found = await installation.standing(USER, person.id)
    assert (found.plan, found.status, found.source, found.version) == (Plan.FREE, Status.ACTIVE, None, 0)
    assert (found.limits.max_users, found.limits.max_storage_bytes) == (1, GIGABYTE)
    assert (found.limits.max_projects, found.limits.max_api_keys) == (3, 2)


async def test_what_is_bought_begins_and_ends_on_the_second(installation: Installation, person: Person) -> None:
    workspace_id = await installation.workspace_of(person)
    begins = installation.clock.now() + DAY
    ends = begins + 30 * DAY
    await installation.write(
        await to_have(
            installation, workspace_id, Plan.TEAM_STANDARD, period_start=begins, period_end=ends, ends_at=ends
        )
    )
    for moment, plan in (
        (begins - SECOND, Plan.FREE),
        (begins + SECOND, Plan.TEAM_STANDARD),
        (ends - SECOND, Plan.TEAM_STANDARD),
        (ends + SECOND, Plan.FREE),
    ):
        installation.stand_at(moment)
        assert await plan_of(installation, workspace_id) is plan, moment


async def test_a_renewal_told_late_takes_nothing_away(installation: Installation, person: Person) -> None:
    """A period's end is not the plan's end: only its source says that it is over."""
    workspace_id = await installation.workspace_of(person)
    await installation.write(
        await to_have(
            installation, workspace_id, Plan.TEAM_STANDARD, period_end=installation.clock.now() + timedelta(hours=1)
        )
    )
    installation.stand_at(installation.clock.now() + DAY)
    assert await plan_of(installation, workspace_id) is Plan.TEAM_STANDARD


async def test_grace_lasts_seven_days_and_then_the_limits_are_free(
    installation: Installation, person: Person
) -> None:
    workspace_id = await installation.workspace_of(person)
    since = installation.clock.now()
    await installation.write(
        await to_have(
            installation, workspace_id, Plan.TEAM_STANDARD, status=Status.GRACE, grace_ends_at=since + GRACE
        )
    )
    assert timedelta(days=7) == GRACE
    installation.stand_at(since + 7 * DAY - SECOND)
    assert await plan_of(installation, workspace_id) is Plan.TEAM_STANDARD
    assert (await installation.budget(workspace_id)).limits.max_users == 10
    installation.stand_at(since + 7 * DAY + SECOND)
    assert await plan_of(installation, workspace_id) is Plan.FREE
    assert (await installation.budget(workspace_id)).limits.max_users == 1


# --- forward only ----------------------------------------------------------------------------------------------


async def test_an_older_look_changes_nothing(installation: Installation, person: Person) -> None:
    workspace_id = await installation.workspace_of(person)
    new = await to_have(installation, workspace_id, Plan.TEAM_PREMIUM)
    old = await to_have(installation, workspace_id, Plan.TEAM_STANDARD, as_of=new.as_of - SECOND)
    assert await installation.write(new)
    assert not await installation.write(old)
    assert await plan_of(installation, workspace_id) is Plan.TEAM_PREMIUM
    async with installation.platform.database.transaction() as session:
        assert not await entitlements.end(
            session,
            installation.platform,
            workspace_id,
            source=new.source,
            source_id=new.source_id,
            as_of=new.as_of - SECOND,
        )
    assert await plan_of(installation, workspace_id) is Plan.TEAM_PREMIUM


async def test_the_same_again_is_no_news(installation: Installation, person: Person) -> None:
    workspace_id = await installation.workspace_of(person)
    assert await installation.write(await to_have(installation, workspace_id, Plan.TEAM_STANDARD))
    assert not await installation.write(await to_have(installation, workspace_id, Plan.TEAM_STANDARD))
    assert (await installation.standing(WORKSPACE, workspace_id)).version == 1
    assert await installation.write(await to_have(installation, workspace_id, Plan.TEAM_PREMIUM))
    assert (await installation.standing(WORKSPACE, workspace_id)).version == 2


@pytest.mark.parametrize("how", ["ended", "grace over"])
async def test_what_is_over_elsewhere_ends_nothing_here(installation: Installation, person: Person, how: str) -> None:
    """The last words of an old subscription, looked at later than the contract was written."""
    workspace_id = await installation.workspace_of(person)
    await installation.write(
        await to_have(installation, workspace_id, Plan.TEAM_PREMIUM, source=Source.CONTRACT, source_id=uuid4())
    )
    fields: dict[str, Any] = {"status": Status.ENDED}
    if how == "grace over":
        fields = {"status": Status.GRACE, "grace_ends_at": installation.clock.now() - SECOND}
    later = await to_have(installation, workspace_id, Plan.TEAM_STANDARD, **fields)
    assert not await installation.write(later)
    async with installation.platform.database.transaction() as session:
        assert not await entitlements.end(
            session,
            installation.platform,
            workspace_id,
            source=later.source,
            source_id=later.source_id,
            as_of=later.as_of,
        )
    assert await plan_of(installation, workspace_id) is Plan.TEAM_PREMIUM


async def test_two_writers_at_once_leave_the_newer_word(own_installation: Installation) -> None:
    person = await register(own_installation.app)
    workspace_id = await own_installation.workspace_of(person)
    first = await to_have(own_installation, workspace_id, Plan.TEAM_STANDARD)
    looks = [
        await to_have(
            own_installation,
            workspace_id,
            Plan.TEAM_PREMIUM if number == 9 else Plan.TEAM_STANDARD,
            as_of=first.as_of + number * SECOND,
            limits={"max_users": number + 1},
        )
        for number in range(10)
    ]
    await asyncio.gather(*(own_installation.write(one) for one in reversed(looks)))
    found = await own_installation.standing(WORKSPACE, workspace_id)
    assert (found.plan, found.limits.max_users) == (Plan.TEAM_PREMIUM, 10)
    await person.client.aclose()


@pytest.fixture
def subscriber(monkeypatch: pytest.MonkeyPatch) -> Job[EntitlementChanged]:
    """A slice that wants to know, for one test."""
    fact: type[events.Event] = EntitlementChanged
    monkeypatch.setitem(events._SUBSCRIBERS, fact, [])

    @events.on(EntitlementChanged)
    async def remember(_context: JobContext, _event: EntitlementChanged) -> None:
        """Never run: its rows are undone."""

    return remember


async def test_a_change_is_told_with_it(
    installation: Installation, person: Person, subscriber: Job[EntitlementChanged]
) -> None:
    """A job a change, in the writer's own transaction."""
    workspace_id = await installation.workspace_of(person)
    async with installation.platform.database.reading() as session:
        wanted = await bought(session, installation.platform, workspace_id, Plan.TEAM_STANDARD)
        await entitlements.write(session, installation.platform, wanted)
        await entitlements.write(session, installation.platform, wanted)
        await entitlements.end(
            session,
            installation.platform,
            workspace_id,
            source=wanted.source,
            source_id=wanted.source_id,
            as_of=wanted.as_of,
        )
        rows = await session.scalars(
            text("SELECT payload FROM pgqueuer WHERE entrypoint = :name ORDER BY id"), {"name": subscriber.name}
        )
        told = [orjson.loads(one) for one in rows]
    assert [one["account_id"] for one in told] == [str(workspace_id)] * 2
    assert [(one["status"], one["version"]) for one in told] == [("ACTIVE", 1), ("ENDED", 2)]


# --- the cache -------------------------------------------------------------------------------------------------


@pytest.fixture
async def second_process(fresh_database: str, fresh_platform: Platform) -> AsyncIterator[Platform]:
    """Beside `fresh_platform`, on its database."""
    assert fresh_platform.signals.connected
    async with open_platform(settings_for(fresh_database), MovableClock()) as platform:
        yield platform


async def test_what_one_process_writes_the_others_forget(
    own_installation: Installation, second_process: Platform
) -> None:
    account_id = uuid4()
    known = second_process.part(Entitlements)
    assert (await known.standing(WORKSPACE, account_id)).plan is Plan.FREE
    async with second_process.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO entitlements (account_id, account_kind, plan, plan_version, period_start, period_end,"
                " status, source, source_id, as_of, updated_at) VALUES (:id, 'WORKSPACE', 'TEAM_STANDARD', 1,"
                " :now, :now, 'ACTIVE', 'CONTRACT', :id, :now, :now)"
            ),
            {"id": account_id, "now": second_process.clock.now() - DAY},
        )
    assert (await known.standing(WORKSPACE, account_id)).plan is Plan.FREE, "it is a cache: nobody has told it"
    await own_installation.write(
        await to_have(own_installation, account_id, Plan.TEAM_PREMIUM, source=Source.CONTRACT, source_id=account_id)
    )
    for _ in range(400):  # well within the five seconds after which it would forget by itself
        if (await known.standing(WORKSPACE, account_id)).plan is Plan.TEAM_PREMIUM:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the signal did not come")


# --- seats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
async def test_the_free_plan_holds_its_owner_alone(
    installation: Installation, new_person: NewPerson, role: Role
) -> None:
    """Viewers are users too."""
    ann, bob = await new_person(), await new_person()
    workspace_id = await installation.workspace_of(ann)
    refused = await refusal(installation, workspace_id, bob, role)
    assert (refused.status, refused.code) == (402, "plan_limit_reached")
    assert refused.extra == {
        "metric": "USERS",
        "limit": 1,
        "used": 1,
        "plan": "FREE",
        "planName": "Free",
        "upgradePlan": "TEAM_STANDARD",
        "upgradePlanName": "Team Standard",
        "upgradeUrl": installation.platform.settings.site_url.rstrip("/") + "/dashboard/billing",
    }
    assert await installation.count_people(workspace_id) == 1


async def test_who_is_in_takes_no_second_seat(installation: Installation, new_person: NewPerson) -> None:
    ann = await new_person()
    first, second = await installation.workspace_of(ann), await installation.workspace_of(ann)
    with pytest.raises(AlreadyMember):
        await installation.add(first, ann)
    assert (await installation.budget(first)).workspace_ids == tuple(sorted((first, second)))


async def test_twenty_who_want_the_last_seats_get_exactly_ten(own_installation: Installation) -> None:
    ann, *others = [await register(own_installation.app) for _ in range(21)]
    workspace_id = await own_installation.workspace_of(ann)
    await own_installation.write(await to_have(own_installation, workspace_id, Plan.TEAM_STANDARD))
    ended = await asyncio.gather(*(own_installation.add(workspace_id, one) for one in others), return_exceptions=True)
    assert await own_installation.count_people(workspace_id) == 10
    assert sum(one is None for one in ended) == 9
    refused = [one for one in ended if one is not None]
    assert {type(one) for one in refused} == {PlanLimitReached}
    assert {one.extra["used"] for one in refused if isinstance(one, PlanLimitReached)} == {10}
    for one in (ann, *others):
        await one.client.aclose()


async def test_workspaces_of_one_owner_share_the_owners_limit(
    installation: Installation, new_person: NewPerson
) -> None:
    """A person in two of them is one person; who has a plan of its own, or is deleted, shares nothing."""
    ann, bob, cyd, dan = [await new_person() for _ in range(4)]
    first, second, third = [await installation.workspace_of(ann) for _ in range(3)]
    await installation.write(
        await to_have(installation, ann.id, Plan.INDIVIDUAL_PRO, kind=USER, limits={"max_users": 3})
    )
    await installation.write(await to_have(installation, third, Plan.TEAM_STANDARD))
    await installation.add(first, bob)
    await installation.add(second, bob)
    await installation.add(second, cyd)
    assert (await refusal(installation, first, dan, Role.VIEWER)).extra["used"] == 3
    await installation.add(first, cyd)  # takes no new seat
    await installation.add(third, dan)  # has ten of its own
    assert set((await installation.budget(first)).workspace_ids) == {first, second}
    assert (await ann.client.delete(f"/api/workspaces/{second}")).status_code == 204
    assert set((await installation.budget(first)).workspace_ids) == {first}


async def test_two_workspaces_filled_at_once_do_not_exceed_what_they_share(own_installation: Installation) -> None:
    """Each has its own lock; the budget has one too."""
    ann, *others = [await register(own_installation.app) for _ in range(17)]
    places = [await own_installation.workspace_of(ann) for _ in range(4)]
    await own_installation.write(
        await to_have(own_installation, ann.id, Plan.INDIVIDUAL_PRO, kind=USER, limits={"max_users": 6})
    )
    await asyncio.gather(
        *(own_installation.add(places[number % 4], one) for number, one in enumerate(others)), return_exceptions=True
    )
    assert await own_installation.count_people(*places) == 6
    for one in (ann, *others):
        await one.client.aclose()


# --- a workspace that changes hands ----------------------------------------------------------------------------


async def lapse(installation: Installation, workspace_id: UUID) -> None:
    """Its plan is over; its people stay."""
    found = await installation.standing(WORKSPACE, workspace_id)
    assert found.source is not None
    assert found.source_id is not None
    async with installation.platform.database.transaction() as session:
        await entitlements.end(
            session,
            installation.platform,
            workspace_id,
            source=found.source,
            source_id=found.source_id,
            as_of=installation.clock.wall(),
        )


async def test_nobody_is_handed_more_people_than_their_plan_holds(
    installation: Installation, new_person: NewPerson
) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await installation.workspace_of(ann)
    await join(installation.platform, workspace_id, bob, Role.ADMIN)
    await lapse(installation, workspace_id)
    path, body = f"/api/workspaces/{workspace_id}/transfer", {"userId": str(bob.id)}
    answer = await ann.client.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (402, "plan_limit_reached")
    assert (answer.json()["limit"], answer.json()["used"], answer.json()["plan"]) == (1, 2, "FREE")
    seen = await bob.client.get(f"/api/workspaces/{workspace_id}")
    assert seen.json()["workspace"]["role"] == "ADMIN", "nothing of it was done"
    await installation.write(
        await to_have(installation, bob.id, Plan.INDIVIDUAL_PRO, kind=USER, limits={"max_users": 2})
    )
    assert (await ann.client.post(path, json=body)).status_code == 200
    assert (await installation.budget(workspace_id)).standing.account_id == bob.id


async def test_an_owner_who_steps_down_leaves_no_one_with_too_many(
    installation: Installation, new_person: NewPerson
) -> None:
    """Of two owners the one who has been there longest pays; by a change of roles it can become the other."""
    ann, bob = await new_person(), await new_person()
    workspace_id = await installation.workspace_of(ann)
    await join(installation.platform, workspace_id, bob, Role.OWNER)
    await lapse(installation, workspace_id)
    assert (await installation.budget(workspace_id)).standing.account_id == ann.id
    [(member_id,)] = await installation.rows(
        "SELECT id FROM workspace_members WHERE workspace_id = :place AND user_id = :person",
        place=workspace_id,
        person=ann.id,
    )
    answer = await ann.client.put(f"/api/team/members/{member_id}", json={"role": "ADMIN"})
    assert (answer.status_code, answer.json()["code"]) == (402, "plan_limit_reached")
    assert (await ann.client.delete(f"/api/team/members/{member_id}")).status_code == 200, "who wants to leave may"


async def test_who_has_too_many_already_keeps_them_and_gets_no_more(
    installation: Installation, new_person: NewPerson
) -> None:
    ann, bob, cyd = [await new_person() for _ in range(3)]
    workspace_id = await installation.workspace_of(ann)
    await join(installation.platform, workspace_id, bob, Role.MEMBER)
    await lapse(installation, workspace_id)
    assert (await refusal(installation, workspace_id, cyd, Role.VIEWER)).extra["used"] == 2
    assert (await bob.client.get(f"/api/workspaces/{workspace_id}")).status_code == 200
