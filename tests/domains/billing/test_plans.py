"""Plans on offer: the page's table, served to everybody and cached."""

from typing import Any, Final

import httpx
import pytest
from sqlalchemy import text

from pm_api.core.platform import Platform
from pm_api.domains.billing import plans as plans_on_offer
from pm_api.entitlements.cache import Entitlements
from pm_api.entitlements.enums import AccountType, Plan

MB: Final = 1024**2
GB: Final = 1024**3

FIELDS: Final = (
    *("price", "maxUsers", "maxStorage", "aiCredits", "apiCalls"),
    *("maxProjects", "maxApiKeys", "maxFileSize", "support", "accountType"),
)
PAGE: Final[dict[str, tuple[Any, ...]]] = {
    "FREE": (0, 1, GB, 10, 1_000, 3, 2, 50 * MB, None, None),
    "INDIVIDUAL_PRO": (2999, 1, 10 * GB, 100, 50_000, None, 10, 2 * GB, "EMAIL", "USER"),
    "TEAM_STANDARD": (9999, 10, 100 * GB, 500, 250_000, None, 50, 5 * GB, "PRIORITY", "WORKSPACE"),
    "TEAM_PREMIUM": (19999, None, 1024 * GB, 1_000, 1_000_000, None, 200, 20 * GB, "24/7", "WORKSPACE"),
    "ENTERPRISE": (None, None, None, 5_000, None, None, None, None, "24/7", "WORKSPACE"),
}


async def plans(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await client.get("/api/billing/plans")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["plans"]
    return found


async def test_everybody_sees_the_table_of_the_page(client: httpx.AsyncClient) -> None:
    found = await plans(client)
    assert [one["plan"] for one in found] == list(PAGE)
    assert {one["plan"]: tuple(one[name] for name in FIELDS) for one in found} == PAGE
    assert {one["currency"] for one in found} == {"USD"}
    assert all(one["features"] and one["name"] for one in found)


async def test_a_year_costs_ten_months(client: httpx.AsyncClient) -> None:
    yearly = {one["plan"]: one["yearlyPrice"] for one in await plans(client)}
    assert yearly == {
        "FREE": 0,
        "INDIVIDUAL_PRO": 29990,
        "TEAM_STANDARD": 99990,
        "TEAM_PREMIUM": 199990,
        "ENTERPRISE": None,
    }


async def test_only_enterprise_leaves_something_to_the_contract(client: httpx.AsyncClient) -> None:
    found = {one["plan"]: one["byContract"] for one in await plans(client) if one["byContract"]}
    assert found == {"ENTERPRISE": ["price", "maxStorage", "maxApiKeys", "maxFileSize"]}


async def test_the_answer_may_be_kept_and_asked_for_by_its_tag(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/billing/plans")
    assert answer.headers["cache-control"].startswith("public, max-age=")
    again = await client.get("/api/billing/plans", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nobody_changes_plans_here(client: httpx.AsyncClient, method: str) -> None:
    assert (await client.request(method, "/api/billing/plans")).status_code == 405


async def test_a_newer_version_is_what_is_on_offer(fresh_platform: Platform) -> None:
    """Rows are never changed: other terms are another version, and the newest one counts."""
    known = fresh_platform.part(Entitlements)
    assert [one.version for one in await known.plans()] == [1] * 5
    async with fresh_platform.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO plans SELECT plan, 2, position, name, account_kind, 3999, currency, max_users,"
                " max_storage_bytes, max_api_calls, max_projects, max_api_keys, max_file_bytes, support, features,"
                " by_contract, created_at FROM plans WHERE plan = 'INDIVIDUAL_PRO'"
            )
        )
    known.clear()
    assert [(one.plan, one.version, one.price_minor) for one in await known.plans()][1] == ("INDIVIDUAL_PRO", 2, 3999)
    assert [one.plan for one in await known.plans()] == list(PAGE)


@pytest.mark.parametrize(
    ("plan", "kind", "wanted"),
    [
        (Plan.FREE, AccountType.USER, "The free plan is not bought"),
        (Plan.TEAM_STANDARD, AccountType.USER, "TEAM_STANDARD belongs to a workspace, not to a person."),
        (Plan.INDIVIDUAL_PRO, AccountType.WORKSPACE, "INDIVIDUAL_PRO belongs to a person, not to a workspace."),
    ],
)
def test_why_a_plan_does_not_fit_is_said_in_plain_words(plan: Plan, kind: AccountType, wanted: str) -> None:
    assert plans_on_offer.unfit(plan, kind).startswith(wanted)
