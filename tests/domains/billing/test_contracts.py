"""Contracts, and what accounts are shown of their plan: limits, credits, dates and figures."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest
from dateutil.relativedelta import relativedelta

from pm_api.domains.ai_credits.plans import month_at
from pm_api.domains.billing.contracts import months_between
from pm_api.domains.billing.forecasting import Course, Line, Stretch, straight_on
from pm_api.entitlements.enums import AccountType, Plan
from pm_api.identity.permissions import Role
from pm_api.seed import seed
from tests.conftest import NewPerson, Person, client_of, register
from tests.domains.ai_credits.pooling import spent
from tests.domains.ai_credits.test_sweeps import STRAY_LINE
from tests.domains.billing.accounts import GIGABYTE, Installation, Json, contract
from tests.identity.teams import join
from tests.support.plans import bought, have_room

USER, WORKSPACE = AccountType.USER, AccountType.WORKSPACE
START: Final = datetime(2027, 1, 31, 9, 30, tzinfo=UTC)
DAY: Final = timedelta(days=1)
SECOND: Final = timedelta(seconds=1)
MONTH: Final = relativedelta(months=1)
ENTERPRISE: Final = {
    "plan": "ENTERPRISE",
    "limits": {"maxStorage": 5 * 1024 * GIGABYTE, "maxApiKeys": None, "maxFileSize": 50 * GIGABYTE},
    "credits": 7000,
    "price": 250000,
}


async def ask(person: Person, what: str, **query: Any) -> httpx.Response:
    return await person.client.get(f"/api/billing/{what}", params={name: str(one) for name, one in query.items()})


async def subscription(person: Person, **query: Any) -> Json:
    answer = await ask(person, "subscriptions", **query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["subscription"]
    return found


async def metrics(person: Person, **query: Any) -> dict[str, Json]:
    answer = await ask(person, "usage", **query)
    assert answer.status_code == 200, answer.text
    return {one["metric"]: one for one in answer.json()["usage"]}


def now_and_a_year(installation: Installation, **fields: Any) -> Json:
    now = installation.clock.now()
    return contract(now, now + relativedelta(years=1), **fields)


async def limits_of(installation: Installation, workspace_id: UUID) -> tuple[Plan, int | None]:
    found = await installation.standing(WORKSPACE, workspace_id)
    return found.plan, found.limits.max_users


# --- the routes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_contracts_are_the_operators_alone(installation: Installation, person: Person, method: str) -> None:
    """The owner of the workspace is not asked, whatever they send."""
    workspace_id = await installation.workspace_of(person)
    path = f"/api/admin/accounts/WORKSPACE/{workspace_id}/contract"
    body = now_and_a_year(installation) if method == "PUT" else None
    async with client_of(installation.app) as nobody:
        assert (await nobody.request(method, path, json=body)).status_code == 401
        assert (await nobody.request(method, path, json=body, headers={"x-admin-key": "guess"})).status_code == 401
    assert (await person.client.request(method, path, json=body)).status_code == 403


async def test_a_contract_is_set_changed_and_ended(installation: Installation, person: Person) -> None:
    workspace_id = await installation.workspace_of(person)
    account = f"WORKSPACE/{workspace_id}"
    body = now_and_a_year(installation, **ENTERPRISE)
    answer = await installation.operate("PUT", account, **body)
    assert answer.status_code == 201, answer.text
    made = answer.json()["contract"]
    assert answer.headers["location"] == f"/api/admin/accounts/{account}/contract"
    assert answer.headers["etag"].startswith('"1-')
    assert (made["plan"], made["status"], made["credits"], made["price"]) == ("ENTERPRISE", "ACTIVE", 7000, 250000)
    assert made["limits"] == {
        "maxUsers": None,
        "maxStorage": 5 * 1024 * GIGABYTE,
        "apiCalls": None,
        "maxProjects": None,
        "maxApiKeys": None,
        "maxFileSize": 50 * GIGABYTE,
    }
    seen = await installation.operate("GET", account)
    assert seen.json()["contract"] == made
    assert await limits_of(installation, workspace_id) == (Plan.ENTERPRISE, None)
    assert await installation.credits(WORKSPACE, workspace_id) == 7000

    body["limits"] = {**ENTERPRISE["limits"], "maxUsers": 250}  # type: ignore[dict-item]
    stale = await installation.operate("PUT", account, match='"7"', **body)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    changed = await installation.operate("PUT", account, match=seen.headers["etag"], **body)
    assert (changed.status_code, changed.json()["contract"]["version"]) == (200, 2)
    assert changed.json()["contract"]["id"] == made["id"]
    assert await limits_of(installation, workspace_id) == (Plan.ENTERPRISE, 250)
    assert await installation.credits(WORKSPACE, workspace_id) == 7000

    assert (await installation.operate("DELETE", account, match='"1"')).status_code == 412
    assert (await installation.operate("DELETE", account, match='"2"')).status_code == 204
    assert await limits_of(installation, workspace_id) == (Plan.FREE, 1)
    assert await installation.credits(WORKSPACE, workspace_id) == 7000, "credits stay until they expire"
    for method in ("GET", "DELETE"):
        gone = await installation.operate(method, account)
        assert (gone.status_code, gone.json()["code"]) == (404, "contract_not_found")

    again = await installation.operate("PUT", account, **now_and_a_year(installation))
    assert again.status_code == 201
    assert again.json()["contract"]["id"] != made["id"]
    assert again.json()["contract"]["version"] == 4, "an old ETag never fits a new contract"
    entries = await installation.rows(
        "SELECT action FROM audit_entries WHERE workspace_id = :id AND action LIKE 'contract.%' ORDER BY id",
        id=workspace_id,
    )
    assert [one[0] for one in entries] == ["contract.set", "contract.changed", "contract.ended", "contract.set"]


async def test_what_does_not_exist_has_no_contract(installation: Installation, person: Person) -> None:
    body = now_and_a_year(installation)
    assert (await installation.operate("PUT", f"WORKSPACE/{uuid4()}", **body)).status_code == 404
    assert (await installation.operate("DELETE", f"WORKSPACE/{uuid4()}")).status_code == 404
    assert (await installation.operate("GET", f"WORKSPACE/{uuid4()}")).status_code == 404
    body["plan"] = "INDIVIDUAL_PRO"
    assert (await installation.operate("PUT", f"USER/{uuid4()}", **body)).status_code == 404
    assert (await installation.operate("PUT", "LEAD/1", **body)).status_code == 404
    workspace_id = await installation.workspace_of(person)
    assert (await person.client.delete(f"/api/workspaces/{workspace_id}")).status_code == 204
    answer = await installation.operate("PUT", f"WORKSPACE/{workspace_id}", **now_and_a_year(installation))
    assert answer.status_code == 404, "a deleted workspace is bought nothing"


@pytest.mark.parametrize(
    ("kind", "plan"),
    [
        ("USER", "TEAM_STANDARD"),
        ("USER", "TEAM_PREMIUM"),
        ("USER", "ENTERPRISE"),
        ("USER", "FREE"),
        ("WORKSPACE", "INDIVIDUAL_PRO"),
        ("WORKSPACE", "FREE"),
    ],
)
async def test_a_plan_fits_its_kind_of_account(
    installation: Installation, person: Person, kind: str, plan: str
) -> None:
    account_id = person.id if kind == "USER" else await installation.workspace_of(person)
    answer = await installation.operate(
        "PUT", f"{kind}/{account_id}", **now_and_a_year(installation, **ENTERPRISE | {"plan": plan})
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "plan_not_for_account")
    assert await installation.rows("SELECT 1 FROM contracts WHERE account_id = :id", id=account_id) == []


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"plan": "GOLD"}, {"/plan"}),
        ({"price": -1}, {"/price"}),
        ({"price": "9999"}, {"/price"}),
        ({"currency": "usd"}, {"/currency"}),
        ({"credits": -1}, {"/credits"}),
        ({"seats": 4}, {"/seats"}),
        ({"limits": {"maxUsers": 0}}, {"/limits/maxUsers"}),
        ({"limits": {"users": 4}}, {"/limits/users"}),
        ({"startsAt": "2027-01-01"}, {"/startsAt"}),
    ],
)
async def test_a_body_that_is_wrong_says_where(
    installation: Installation, person: Person, change: Json, pointers: set[str]
) -> None:
    workspace_id = await installation.workspace_of(person)
    answer = await installation.operate("PUT", f"WORKSPACE/{workspace_id}", **now_and_a_year(installation) | change)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), answer.text
    assert {one["pointer"] for one in answer.json()["details"]} == pointers


async def test_dates_and_limits_must_fit_together(installation: Installation, person: Person) -> None:
    account = f"WORKSPACE/{await installation.workspace_of(person)}"
    now = installation.clock.now()
    for body, pointers in (
        (contract(now, now + 40 * DAY), ["/endsAt"]),
        (contract(now, now), ["/endsAt"]),
        (contract(now, now + relativedelta(months=121)), ["/endsAt"]),
        (contract(now - relativedelta(months=2), now - MONTH), ["/endsAt"]),
        (contract(now - relativedelta(years=11), now + MONTH), ["/startsAt"]),
        (
            contract(now, now + MONTH, plan="ENTERPRISE", limits={"maxStorage": None}),
            ["/limits/maxApiKeys", "/limits/maxFileSize"],
        ),
    ):
        answer = await installation.operate("PUT", account, **body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_contract"), answer.text
        assert [one["pointer"] for one in answer.json()["details"]] == pointers


async def test_an_account_has_a_subscription_or_a_contract(installation: Installation, person: Person) -> None:
    workspace_id = await installation.workspace_of(person)
    async with installation.platform.database.reading() as session:
        live = await bought(session, installation.platform, workspace_id, Plan.TEAM_STANDARD)
    await installation.write(live)
    answer = await installation.operate("PUT", f"WORKSPACE/{workspace_id}", **now_and_a_year(installation))
    assert (answer.status_code, answer.json()["code"]) == (409, "subscription_exists")
    assert await installation.credits(WORKSPACE, workspace_id) == 0, "nothing of it was done"


async def test_two_operators_at_once_make_one_contract(own_installation: Installation) -> None:
    person = await register(own_installation.app)
    workspace_id = await own_installation.workspace_of(person)
    body = now_and_a_year(own_installation)
    answers = await asyncio.gather(
        *(own_installation.operate("PUT", f"WORKSPACE/{workspace_id}", **body) for _ in range(6))
    )
    assert sorted(one.status_code for one in answers) == [200] * 5 + [201]
    assert await own_installation.rows("SELECT count(*) FROM contracts") == [(1,)]
    assert await own_installation.credits(WORKSPACE, workspace_id) == 500
    await person.client.aclose()


async def test_a_contract_and_a_seat_at_once(own_installation: Installation) -> None:
    """Both take the workspace's lock: whoever comes after the smaller limit meets it."""
    ann, *others = [await register(own_installation.app) for _ in range(9)]
    workspace_id = await own_installation.workspace_of(ann)
    account = f"WORKSPACE/{workspace_id}"
    body = now_and_a_year(own_installation, limits={"maxUsers": 5})
    await own_installation.agreed(account, **body)
    await asyncio.gather(
        own_installation.operate("PUT", account, **body | {"limits": {"maxUsers": 4}}),
        *(own_installation.add(workspace_id, one) for one in others),
        return_exceptions=True,
    )
    assert await own_installation.count_people(workspace_id) in {4, 5}
    assert (await own_installation.budget(workspace_id)).limits.max_users == 4
    for one in (ann, *others):
        await one.client.aclose()


# --- month by month --------------------------------------------------------------------------------------------


async def test_credits_come_every_month_for_years(own_installation: Installation) -> None:
    """From a 31st on: the months begin on the last day where there is no 31st, and come back to it."""
    own_installation.stand_at(START)
    person = await register(own_installation.app)
    workspace_id = await own_installation.workspace_of(person)
    ends = START + relativedelta(years=2)
    await own_installation.agreed(f"WORKSPACE/{workspace_id}", **contract(START, ends, **ENTERPRISE))
    for month in range(24):
        own_installation.stand_at(START + relativedelta(months=month) + SECOND)
        await own_installation.sweep()
        await own_installation.sweep()
        assert await own_installation.credits(WORKSPACE, workspace_id) == 7000, month
    lots = await own_installation.rows(
        "SELECT amount, expires_at FROM credit_grants WHERE account_id = :id ORDER BY expires_at", id=workspace_id
    )
    assert lots == [(7000, START + relativedelta(months=month)) for month in range(1, 25)]
    own_installation.stand_at(ends + SECOND)
    assert await limits_of(own_installation, workspace_id) == (Plan.FREE, 1), "by the clock, before any sweep"
    await own_installation.sweep()
    assert await own_installation.credits(WORKSPACE, workspace_id) == 0
    assert await own_installation.rows("SELECT 1 FROM credit_plans") == []
    assert (await own_installation.operate("GET", f"WORKSPACE/{workspace_id}")).status_code == 404
    await person.client.aclose()


async def test_what_begins_later_gives_nothing_before(own_installation: Installation) -> None:
    own_installation.stand_at(START)
    person = await register(own_installation.app)
    workspace_id = await own_installation.workspace_of(person)
    begins = START + 10 * DAY
    made = await own_installation.agreed(f"WORKSPACE/{workspace_id}", **contract(begins, begins + MONTH))
    assert made["status"] == "SCHEDULED"
    tag = (await own_installation.operate("GET", f"WORKSPACE/{workspace_id}")).headers["etag"]
    await own_installation.sweep()
    assert await limits_of(own_installation, workspace_id) == (Plan.FREE, 1)
    assert await own_installation.credits(WORKSPACE, workspace_id) == 0
    own_installation.stand_at(begins + SECOND)
    begun = await own_installation.operate("GET", f"WORKSPACE/{workspace_id}")
    assert (begun.json()["contract"]["status"], begun.headers["etag"] == tag) == ("ACTIVE", False)
    assert await limits_of(own_installation, workspace_id) == (Plan.TEAM_STANDARD, 10)
    await asyncio.gather(*(own_installation.sweep() for _ in range(3)))
    assert await own_installation.credits(WORKSPACE, workspace_id) == 500
    await person.client.aclose()


async def test_another_number_of_credits_counts_from_the_next_month(own_installation: Installation) -> None:
    own_installation.stand_at(START)
    person = await register(own_installation.app)
    workspace_id = await own_installation.workspace_of(person)
    account = f"WORKSPACE/{workspace_id}"
    body = contract(START, START + 2 * MONTH, credits=300)
    await own_installation.agreed(account, **body)
    await own_installation.agreed(account, 200, **body | {"credits": 900, "endsAt": (START + 3 * MONTH).isoformat()})
    assert await own_installation.credits(WORKSPACE, workspace_id) == 300
    for month in (1, 2):
        own_installation.stand_at(START + month * MONTH + SECOND)
        await own_installation.sweep()
        assert await own_installation.credits(WORKSPACE, workspace_id) == 900
    moved = await own_installation.operate("PUT", account, **contract(START + DAY, START + DAY + 6 * MONTH))
    assert (moved.status_code, moved.json()["code"]) == (409, "contract_begun")
    await person.client.aclose()


async def test_a_contract_that_cannot_begin_keeps_no_other_waiting(own_installation: Installation) -> None:
    """Its pool is full to the ledger's brim: it is tried again, and begins when there is room."""
    own_installation.stand_at(START)
    person = await register(own_installation.app)
    full, other = [await own_installation.workspace_of(person) for _ in range(2)]
    await own_installation.agreed(f"WORKSPACE/{full}", **contract(START, START + MONTH, credits=0))
    assert (await own_installation.operate("DELETE", f"WORKSPACE/{full}")).status_code == 204
    for place in (full, other):
        await own_installation.agreed(f"WORKSPACE/{place}", **contract(START + DAY, START + DAY + MONTH))
    await own_installation.execute("UPDATE credit_accounts SET balance = :most WHERE id = :id", most=10**12, id=full)
    at_once = contract(START - DAY, START - DAY + MONTH)
    refused = await own_installation.operate("PUT", f"WORKSPACE/{full}", **at_once)
    assert (refused.status_code, refused.json()["code"]) == (422, "balance_limit_exceeded"), refused.text
    own_installation.stand_at(START + DAY + SECOND)
    await own_installation.sweep()
    begun = "SELECT account_id FROM contracts WHERE begun_at IS NOT NULL AND ended_at IS NULL"
    assert await own_installation.rows(begun) == [(other,)]
    assert await own_installation.credits(WORKSPACE, other) == 500
    await own_installation.execute("UPDATE credit_accounts SET balance = 0 WHERE id = :id", id=full)
    await own_installation.sweep()
    assert {one for (one,) in await own_installation.rows(begun)} == {full, other}
    assert await own_installation.credits(WORKSPACE, full) == 500
    await person.client.aclose()


async def test_a_contract_of_a_pool_with_damaged_books_keeps_no_other_waiting(own_installation: Installation) -> None:
    own_installation.stand_at(START)
    person = await register(own_installation.app)
    damaged, other = [await own_installation.workspace_of(person) for _ in range(2)]
    await own_installation.agreed(f"WORKSPACE/{damaged}", **contract(START, START + MONTH, credits=0))
    assert (await own_installation.operate("DELETE", f"WORKSPACE/{damaged}")).status_code == 204
    for place in (damaged, other):
        await own_installation.agreed(f"WORKSPACE/{place}", **contract(START + DAY, START + DAY + MONTH))
    await own_installation.execute(STRAY_LINE, id=damaged, now=START)
    own_installation.stand_at(START + DAY + SECOND)
    await own_installation.sweep()
    begun = "SELECT account_id FROM contracts WHERE begun_at IS NOT NULL AND ended_at IS NULL"
    assert await own_installation.rows(begun) == [(other,)]
    await person.client.aclose()


async def test_the_demo_workspace_has_a_plan_that_holds_its_people(own_installation: Installation) -> None:
    demo = await seed(own_installation.platform, None)
    assert await seed(own_installation.platform, None) == demo
    assert await own_installation.count_people(demo.workspace_id) == 4
    assert await own_installation.rows("SELECT plan, version FROM contracts") == [("TEAM_STANDARD", 1)]
    assert await own_installation.credits(WORKSPACE, demo.workspace_id) == 500
    assert demo.unbought_id is not None
    standing = await own_installation.standing(WORKSPACE, demo.unbought_id)
    assert not standing.is_bought, "one workspace to buy a plan for"


async def test_a_person_falls_back_to_the_free_tier(own_installation: Installation) -> None:
    own_installation.stand_at(START)
    person = await register(own_installation.app)
    body = contract(START, START + MONTH, plan="INDIVIDUAL_PRO")
    await own_installation.agreed(f"USER/{person.id}", **body)
    assert await own_installation.credits(USER, person.id) == 100
    own_installation.stand_at(START + MONTH + SECOND)
    await own_installation.sweep()
    assert (await own_installation.standing(USER, person.id)).plan is Plan.FREE
    assert await own_installation.credits(USER, person.id) == 10
    await person.client.aclose()


@pytest.mark.parametrize(
    ("moment", "begins", "ends"),
    [
        (START - DAY, START, datetime(2027, 2, 28, 9, 30, tzinfo=UTC)),
        (START, START, datetime(2027, 2, 28, 9, 30, tzinfo=UTC)),
        (
            datetime(2027, 2, 28, 9, 30, tzinfo=UTC),
            datetime(2027, 2, 28, 9, 30, tzinfo=UTC),
            datetime(2027, 3, 31, 9, 30, tzinfo=UTC),
        ),
        (
            datetime(2028, 2, 29, 9, 29, tzinfo=UTC),
            datetime(2028, 1, 31, 9, 30, tzinfo=UTC),
            datetime(2028, 2, 29, 9, 30, tzinfo=UTC),
        ),
        (
            datetime(2040, 1, 1, tzinfo=UTC),
            datetime(2028, 12, 31, 9, 30, tzinfo=UTC),
            datetime(2029, 1, 31, 9, 30, tzinfo=UTC),
        ),
    ],
)
def test_the_month_a_moment_lies_in(moment: datetime, begins: datetime, ends: datetime) -> None:
    assert month_at(START, START + relativedelta(years=2), moment) == (begins, ends)


def test_every_moment_of_ten_years_lies_in_its_month() -> None:
    """Held against counting the months one by one."""
    ends = START + relativedelta(years=10)
    starts = [START + relativedelta(months=one) for one in range(121)]
    for hour in range(0, (ends - START).days * 24, 7):
        moment = START + timedelta(hours=hour)
        index = max(one for one in range(120) if starts[one] <= moment)
        assert month_at(START, ends, moment) == (starts[index], starts[index + 1])


@pytest.mark.parametrize(("months", "found"), [(1, 1), (13, 13), (120, 120)])
def test_whole_months_are_counted(months: int, found: int) -> None:
    assert months_between(START, START + relativedelta(months=months)) == found
    assert months_between(START, START + relativedelta(months=months) + DAY) == 0
    assert months_between(START + DAY, START) == 0


# --- what an account is shown ----------------------------------------------------------------------------------


async def test_a_person_without_anything_is_on_the_free_plan(
    installation: Installation, new_person: NewPerson
) -> None:
    person = await new_person()
    await spent(person, str(await own_pool(installation, person)), amount=2)
    found = await subscription(person)
    assert (found["plan"], found["status"], found["billingInterval"], found["amount"]) == (
        *("FREE", "ACTIVE", "MONTHLY"),
        0,
    )
    assert (found["id"], found["stripeSubscriptionId"], found["version"]) == (None, None, 0)
    assert (found["userId"], found["workspaceId"]) == (str(person.id), None)
    assert found["pricing"]["plan"] == "FREE"
    assert found["usage"] == {
        "users": 1,
        "maxUsers": 1,
        "storage": 0,
        "maxStorage": GIGABYTE,
        "aiCredits": 0,
        "maxAiCredits": 10,
        "apiCalls": 0,
        "maxApiCalls": 1000,
    }
    starts, ends = (datetime.fromisoformat(found[name]) for name in ("currentPeriodStart", "currentPeriodEnd"))
    assert starts <= installation.clock.now() < ends == starts + MONTH


async def own_pool(installation: Installation, person: Person) -> UUID:
    """A workspace with credits of its own, which are nobody's wallet."""
    workspace_id = await installation.workspace_of(person)
    await installation.agreed(f"WORKSPACE/{workspace_id}", **now_and_a_year(installation))
    return workspace_id


async def test_credits_spent_of_the_plan_are_shown(installation: Installation, person: Person) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    answer = await person.client.post("/api/credits/spend", headers=headers, json={"amount": 4})
    assert answer.status_code == 200, answer.text
    assert (await subscription(person))["usage"]["aiCredits"] == 4
    found = (await metrics(person))["AI_CREDITS"]
    assert (found["used"], found["limit"], found["unit"]) == (4, 10, "credits")
    starts, ends = (datetime.fromisoformat(found["period"][name]) for name in ("start", "end"))
    assert ends - starts == timedelta(days=30), "the free tier's own period"


async def test_a_workspace_shows_its_contract(installation: Installation, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await own_pool(installation, ann)
    await installation.add(workspace_id, bob, Role.VIEWER)
    await spent(ann, str(workspace_id), amount=20)
    found = await subscription(ann, workspaceId=workspace_id)
    assert (found["plan"], found["status"], found["amount"], found["currency"]) == (
        *("TEAM_STANDARD", "ACTIVE"),
        *(9999, "USD"),
    )
    assert (found["workspaceId"], found["userId"]) == (str(workspace_id), None)
    assert found["limitsFrom"] == {
        "accountType": "WORKSPACE",
        "accountId": str(workspace_id),
        "plan": "TEAM_STANDARD",
        "workspaces": 1,
    }
    shown = found["usage"]
    assert (shown["users"], shown["maxUsers"], shown["aiCredits"], shown["maxAiCredits"]) == (2, 10, 20, 500)
    starts, ends = (datetime.fromisoformat(found[name]) for name in ("currentPeriodStart", "currentPeriodEnd"))
    assert ends == starts + MONTH
    answer = await ask(ann, "subscriptions", workspaceId=workspace_id)
    again = await ann.client.get(
        "/api/billing/subscriptions",
        params={"workspaceId": str(workspace_id)},
        headers={"If-None-Match": answer.headers["etag"]},
    )
    assert again.status_code == 304


async def test_a_workspace_without_a_plan_shows_whose_limits_it_has(
    installation: Installation, person: Person
) -> None:
    first, second = await installation.workspace_of(person), await installation.workspace_of(person)
    await installation.agreed(f"USER/{person.id}", **now_and_a_year(installation, plan="INDIVIDUAL_PRO"))
    found = await subscription(person, workspaceId=first)
    assert (found["plan"], found["id"]) == ("FREE", None), "it has no subscription of its own"
    assert found["limitsFrom"] == {
        "accountType": "USER",
        "accountId": str(person.id),
        "plan": "INDIVIDUAL_PRO",
        "workspaces": 2,
    }
    assert (found["usage"]["maxStorage"], found["usage"]["maxAiCredits"]) == (10 * GIGABYTE, 0)
    own = await subscription(person)
    assert (own["plan"], own["usage"]["maxAiCredits"]) == ("INDIVIDUAL_PRO", 100)
    assert (await subscription(person, workspaceId=second))["limitsFrom"] == found["limitsFrom"]


async def test_every_metric_has_its_limit_period_and_forecast(
    installation: Installation, new_person: NewPerson
) -> None:
    ann, bob, cyd = [await new_person() for _ in range(3)]
    workspace_id = await own_pool(installation, ann)
    for one in (bob, cyd):
        await installation.add(workspace_id, one, Role.MEMBER)
    found = await metrics(ann, workspaceId=workspace_id)
    assert list(found) == ["USERS", "STORAGE", "AI_CREDITS", "API_CALLS", "PROJECTS", "TASKS"]
    assert {name: (one["used"], one["limit"]) for name, one in found.items()} == {
        "USERS": (3, 10),
        "STORAGE": (0, 100 * GIGABYTE),
        "AI_CREDITS": (0, 500),
        "API_CALLS": (0, 250_000),
        "PROJECTS": (0, None),
        "TASKS": (0, None),
    }
    assert found["STORAGE"]["forecast"] == {"atPeriodEnd": 0, "reachesLimitAt": None}
    assert found["USERS"]["forecast"] == {"atPeriodEnd": None, "reachesLimitAt": None}, "too early to draw a line"


@pytest.mark.parametrize("what", ["subscriptions", "usage"])
async def test_owners_and_admins_read_billing(installation: Installation, new_person: NewPerson, what: str) -> None:
    ann, stranger = await new_person(), await new_person()
    workspace_id = await installation.workspace_of(ann)
    async with installation.platform.database.transaction() as session:
        await have_room(session, installation.platform, workspace_id)
    for role, status in ((Role.VIEWER, 403), (Role.MEMBER, 403), (Role.ADMIN, 200)):
        member = await new_person()
        await join(installation.platform, workspace_id, member, role)
        assert (await ask(member, what, workspaceId=workspace_id)).status_code == status
    assert (await ask(ann, what, workspaceId=workspace_id)).status_code == 200
    assert (await ask(stranger, what, workspaceId=workspace_id)).status_code == 404
    assert (await ask(ann, what, workspaceId="x")).status_code == 422
    async with client_of(installation.app) as nobody:
        assert (await nobody.get(f"/api/billing/{what}")).status_code == 401


PERIOD: Final = Stretch(START, START + 30 * DAY)


@pytest.mark.parametrize(
    ("course", "line"),
    [
        (Course(0, 0, 10), Line(0, None)),
        (Course(0, 100, None), Line(300, None)),
        (Course(0, 100, 200), Line(300, START + 20 * DAY)),
        (Course(0, 100, 300), Line(300, START + 30 * DAY)),
        (Course(0, 100, 301), Line(300, None)),
        (Course(4, 6, 8), Line(10, START + 20 * DAY)),
        (Course(6, 6, 8), Line(6, None)),
        (Course(9, 8, 8), Line(6, START + 10 * DAY)),
        (Course(0, 1, 1 << 62), Line(3, None)),
    ],
)
def test_a_straight_line(course: Course, line: Line) -> None:
    assert straight_on(course, PERIOD, START + 10 * DAY) == line


def test_no_line_is_drawn_through_a_first_hour() -> None:
    early = START + timedelta(hours=1)
    assert straight_on(Course(0, 2, 10), PERIOD, early) == Line(None, None)
    assert straight_on(Course(0, 2, 2), PERIOD, early) == Line(None, early)
    assert straight_on(Course(2, 2, 10), PERIOD, early) == Line(2, None)
