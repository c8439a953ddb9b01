"""Routes of subscriptions: who may, what is refused, and what a repeated request hears."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from pm_api.entitlements.enums import AccountType
from pm_api.identity.permissions import Role
from pm_api.integrations.stripe import PercentOff, payment_methods, promotions
from tests.conftest import client_of
from tests.domains.billing.subscribing import (
    ASKS,
    PRO,
    STANDARD,
    SUBSCRIPTION,
    SUBSCRIPTIONS,
    VISA,
    Shop,
    new_key,
)
from tests.identity.teams import join

Json = dict[str, Any]
WRITES: tuple[tuple[str, str, Json], ...] = (
    ("POST", SUBSCRIPTIONS, {"plan": "TEAM_STANDARD"}),
    ("PUT", SUBSCRIPTION, {"plan": "TEAM_PREMIUM"}),
    ("POST", f"{SUBSCRIPTION}/cancel", {}),
    ("POST", f"{SUBSCRIPTION}/resume", {}),
)
PREVIEW = ("POST", f"{SUBSCRIPTION}/preview", {"plan": "TEAM_PREMIUM"})


async def test_who_may(shop: Shop) -> None:
    owner, team = await shop.team()
    member, stranger = await shop.person(), await shop.person()
    await join(shop.till.platform, team, member, Role.MEMBER)
    async with client_of(shop.till.app) as nobody:
        for method, path, body in (*WRITES, PREVIEW):
            wanted = {**body, "workspaceId": team}
            answer = await nobody.request(method, path, json=wanted, headers={"Idempotency-Key": new_key()})
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path
            assert await shop.refused(member, method, path, **wanted) == (403, "forbidden"), path
            assert await shop.refused(stranger, method, path, **wanted) == (404, "workspace_not_found"), path
    assert (await shop.shown(owner, team))["stripeSubscriptionId"] is None


async def test_every_write_needs_a_key(shop: Shop) -> None:
    owner, team = await shop.team()
    for method, path, body in WRITES:
        refused = await shop.refused(owner, method, path, key=None, **body, workspaceId=team)
        assert refused == (400, "idempotency_key_required"), path


async def test_bad_bodies(shop: Shop) -> None:
    person = await shop.person()
    for body in (
        {},
        {"plan": "GOLD"},
        {"plan": "INDIVIDUAL_PRO", "billingInterval": "weekly"},
        {"plan": "INDIVIDUAL_PRO", "seats": 3},
        {"plan": "INDIVIDUAL_PRO", "paymentMethodId": "pm 1"},
        {"plan": "INDIVIDUAL_PRO", "promotionCode": ""},
    ):
        assert await shop.refused(person, "POST", SUBSCRIPTIONS, **body) == (422, "validation_failed"), body


async def test_plans_that_are_not_to_be_had(shop: Shop) -> None:
    owner, team = await shop.team()
    for plan, workspace, refusal in (
        ("INDIVIDUAL_PRO", team, (422, "plan_not_for_account")),
        ("TEAM_STANDARD", None, (422, "plan_not_for_account")),
        ("FREE", None, (422, "plan_not_for_account")),
        ("FREE", team, (422, "plan_not_for_account")),
        ("ENTERPRISE", team, (422, "contact_sales")),
    ):
        body = {"plan": plan} | ({"workspaceId": workspace} if workspace else {})
        assert await shop.refused(owner, "POST", SUBSCRIPTIONS, **body) == refusal, plan
    assert await shop.rows("SELECT 1 FROM subscriptions") == []


async def test_one_that_is_not_on_sale(shop: Shop) -> None:
    person = await shop.person()
    await shop.installation.execute("UPDATE prices SET on_sale = false WHERE item_name = 'INDIVIDUAL_PRO'")
    refused = await shop.refused(person, "POST", SUBSCRIPTIONS, plan="INDIVIDUAL_PRO")
    assert refused == (422, "plan_not_on_sale")


async def test_while_one_waits_for_payment_it_is_answered_again(shop: Shop) -> None:
    owner, team = await shop.team()
    body = {"plan": "TEAM_STANDARD", "workspaceId": team}
    first = await shop.send(owner, "POST", SUBSCRIPTIONS, **body)
    assert first.status_code == 201
    assert first.headers["Location"] == SUBSCRIPTIONS
    assert first.headers["ETag"] == '"1"'
    again = await shop.done(owner, "POST", SUBSCRIPTIONS, 200, **body)
    assert again == first.json()
    assert len(await shop.all_at_stripe(AccountType.WORKSPACE, team)) == 1
    await shop.pay(again["clientSecret"])
    # Paid meanwhile, though nobody has told us: it is answered as it stands.
    paid = await shop.done(owner, "POST", SUBSCRIPTIONS, 200, **body)
    assert (paid["subscription"]["status"], paid["clientSecret"]) == ("ACTIVE", None)
    assert await shop.refused(owner, "POST", SUBSCRIPTIONS, **body) == (409, "subscription_exists")


async def test_beside_a_contract_none_begins(shop: Shop) -> None:
    owner, team = await shop.team()
    start = (shop.now + timedelta(days=30)).replace(microsecond=0, day=1)
    await shop.installation.agreed(
        f"WORKSPACE/{team}",
        plan="TEAM_PREMIUM",
        price=1,
        currency="USD",
        startsAt=start.isoformat(),
        endsAt=start.replace(year=start.year + 1).isoformat(),
    )
    refused = await shop.refused(owner, "POST", SUBSCRIPTIONS, plan="TEAM_STANDARD", workspaceId=team)
    assert refused == (409, "subscription_exists")


async def test_beside_a_subscription_no_contract_begins(shop: Shop) -> None:
    """Also while it is incomplete, and gives nothing."""
    owner, team = await shop.team()
    await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team)
    start = shop.now.replace(microsecond=0, day=1)
    answer = await shop.installation.operate(
        "PUT",
        f"WORKSPACE/{team}",
        plan="TEAM_PREMIUM",
        price=1,
        currency="USD",
        startsAt=start.isoformat(),
        endsAt=start.replace(year=start.year + 1).isoformat(),
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "subscription_exists")


async def test_the_same_key_answers_the_same_and_another_body_is_refused(shop: Shop) -> None:
    person = await shop.person()
    key = new_key()
    first = await shop.send(person, "POST", SUBSCRIPTIONS, key=key, plan="INDIVIDUAL_PRO")
    again = await shop.send(person, "POST", SUBSCRIPTIONS, key=key, plan="INDIVIDUAL_PRO")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.headers["Location"], again.headers["ETag"]) == (first.headers["Location"], first.headers["ETag"])
    other = await shop.refused(
        person, "POST", SUBSCRIPTIONS, key=key, plan="INDIVIDUAL_PRO", billingInterval="YEARLY"
    )
    assert other == (422, "idempotency_key_reused")
    refusal = await shop.send(person, "PUT", SUBSCRIPTION, key=key, plan="INDIVIDUAL_PRO")
    assert refusal.json()["code"] == "subscription_not_changeable", "a key is one route's"


async def test_without_a_subscription_there_is_nothing_to_change(shop: Shop) -> None:
    person = await shop.person()
    for method, path, body in (*WRITES[1:], PREVIEW):
        wanted = {"plan": "INDIVIDUAL_PRO"} if body else {}
        assert await shop.refused(person, method, path, **wanted) == (404, "subscription_not_found"), path


async def test_nothing_is_changed_before_the_first_payment(shop: Shop) -> None:
    owner, team = await shop.team()
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team)
    for method, path in (("PUT", SUBSCRIPTION), ("POST", f"{SUBSCRIPTION}/preview")):
        answer = await shop.send(owner, method, path, plan="TEAM_PREMIUM", workspaceId=team)
        assert (answer.status_code, answer.json()["code"]) == (409, "subscription_not_changeable")
        assert (answer.json()["status"], answer.json()["subscriptionStatus"]) == (409, "INCOMPLETE")
    # It can be given up, and that is at once.
    ended = await shop.done(owner, "POST", f"{SUBSCRIPTION}/cancel", workspaceId=team)
    assert ended["subscription"]["plan"] == "FREE"
    assert (await shop.at_stripe(begun["subscription"]["stripeSubscriptionId"])).status in (
        "canceled",
        "incomplete_expired",
    )
    assert await shop.notices(owner, "billing.canceled") == [], "nobody had anything"


async def test_what_is_unchanged_is_refused(shop: Shop) -> None:
    person = await shop.person()
    await shop.active(person)
    for body in ({"plan": "INDIVIDUAL_PRO"}, {"plan": "INDIVIDUAL_PRO", "billingInterval": "month"}):
        assert await shop.refused(person, "PUT", SUBSCRIPTION, **body) == (409, "plan_unchanged")
        assert await shop.refused(person, "POST", f"{SUBSCRIPTION}/preview", **body) == (409, "plan_unchanged")
    assert await shop.refused(person, "PUT", SUBSCRIPTION, plan="FREE") == (422, "plan_not_for_account")
    assert await shop.refused(person, "PUT", SUBSCRIPTION, plan="ENTERPRISE") == (422, "contact_sales")


async def test_a_stale_version_is_refused(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    answer = await owner.client.get(SUBSCRIPTIONS, params={"workspaceId": team})
    shown = answer.headers["ETag"]
    stale = f'"{found["version"] - 1}"'
    for path in (f"{SUBSCRIPTION}/cancel", f"{SUBSCRIPTION}/resume"):
        assert await shop.refused(owner, "POST", path, match=stale, workspaceId=team) == (412, "precondition_failed")
    body = {"plan": "TEAM_PREMIUM", "workspaceId": team}
    assert await shop.refused(owner, "PUT", SUBSCRIPTION, match=stale, **body) == (412, "precondition_failed")
    # What the page showed is good, and so is the plain version.
    done = await shop.send(owner, "POST", f"{SUBSCRIPTION}/cancel", match=shown, workspaceId=team)
    assert done.status_code == 200, done.text
    version = f'"{done.json()["subscription"]["version"]}"'
    assert done.headers["ETag"] == version
    assert (await shop.send(owner, "POST", f"{SUBSCRIPTION}/resume", match=version, workspaceId=team)).is_success


async def test_a_card_that_is_not_theirs_is_refused(shop: Shop) -> None:
    person, other = await shop.person(), await shop.person()
    theirs = await shop.card(AccountType.USER, other.id)
    for method in (theirs, "pm_unknown"):
        body = {"plan": "INDIVIDUAL_PRO", "paymentMethodId": method}
        assert await shop.refused(person, "POST", SUBSCRIPTIONS, **body) == (422, "payment_method_unusable"), method
    assert await shop.all_at_stripe(AccountType.USER, person.id) == []
    # Nothing stands in the way of another try.
    assert (await shop.active(person))["status"] == "ACTIVE"


async def test_a_card_that_asks_is_confirmed_with_the_secret(shop: Shop) -> None:
    person = await shop.person()
    begun = await shop.done(person, "POST", SUBSCRIPTIONS, 201, plan="INDIVIDUAL_PRO")
    asked = await shop.pay(begun["clientSecret"], ASKS)
    assert asked["intent"]["status"] == "requires_action"
    await shop.hear(begun["subscription"]["stripeSubscriptionId"])
    assert (await shop.shown(person))["status"] == "INCOMPLETE"
    await shop.pay(begun["clientSecret"], ASKS, confirm=True)
    await shop.hear(begun["subscription"]["stripeSubscriptionId"])
    assert (await shop.shown(person))["status"] == "ACTIVE"


async def test_promotion_codes(shop: Shop) -> None:
    person = await shop.person()
    refused = await shop.refused(person, "POST", SUBSCRIPTIONS, plan="INDIVIDUAL_PRO", promotionCode="NOPE")
    assert refused == (422, "promotion_code_invalid")
    coupon = await promotions.create_coupon(
        shop.door, off=PercentOff(Decimal(20)), duration="forever", name="Fifth", metadata={}, key=new_key()
    )
    await promotions.create_code(shop.door, coupon_id=coupon.id, code="FIFTH", metadata={}, key=new_key())
    found = await shop.active(person, promotionCode="FIFTH")
    assert found["amount"] == PRO
    [invoice] = (await shop.picture(found["stripeSubscriptionId"])).invoices
    assert (invoice.discount, invoice.total) == (600, PRO - 600)


async def test_the_card_on_file_is_used(shop: Shop) -> None:
    owner, team = await shop.team()
    customer = (await shop.all_customers(AccountType.WORKSPACE, team))[0]
    kept = await payment_methods.attach(shop.door, VISA, customer, key=new_key())
    body = {"plan": "TEAM_STANDARD", "workspaceId": team, "paymentMethodId": kept.id}
    begun = (await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **body))["subscription"]
    at_stripe = await shop.at_stripe(begun["stripeSubscriptionId"])
    assert at_stripe.default_payment_method_id == kept.id
    assert at_stripe.metadata["accountId"] == team
    assert (begun["status"], begun["amount"]) == ("TRIALING", STANDARD)


async def test_while_stripe_is_away_nothing_is_known_and_the_same_key_hears_it(shop: Shop) -> None:
    owner, team = await shop.team()
    await shop.all_customers(AccountType.WORKSPACE, team)
    body = {"plan": "TEAM_STANDARD", "workspaceId": team}
    key = new_key()
    await shop.till.stripe.fail(status=500, times=9, pathPrefix="/v1/subscriptions", method="POST", actThenFail=True)
    lost = await shop.send(owner, "POST", SUBSCRIPTIONS, key=key, **body)
    assert (lost.status_code, lost.json()["code"]) == (503, "payment_provider_unavailable")
    # It may have gone through, so nobody else begins another one.
    assert await shop.refused(owner, "POST", SUBSCRIPTIONS, **body) == (409, "change_in_progress")
    await shop.till.stripe.heal()
    heard = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, key=key, **body)
    assert heard["subscription"]["status"] == "INCOMPLETE"
    assert len(await shop.all_at_stripe(AccountType.WORKSPACE, team)) == 1
