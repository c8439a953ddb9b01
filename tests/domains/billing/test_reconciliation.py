"""Comparisons with Stripe, both ways: what nobody told us is healed, what cannot be is reported in plain words."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.jobs import JobContext
from pm_api.domains.billing import jobs as billing_jobs
from pm_api.domains.billing import reconciliation, reconciling
from pm_api.domains.billing.reconciliation import Reconcile
from pm_api.domains.billing.repository import reconciliation as repository
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import PaymentProviderUnavailable, payments, refunds
from pm_api.integrations.stripe import subscriptions as stripe_subscriptions
from tests.conftest import Person
from tests.domains.billing.accounts import OPERATOR
from tests.domains.billing.bills import bills
from tests.domains.billing.subscribing import PREMIUM, SUBSCRIPTIONS, Shop, new_key, open_shop
from tests.domains.billing.wallets import add_card, bought, look, payments_of, wants
from tests.support import purchases
from tests.support.stripe import open_checkout

ROUTE = "/api/admin/reconciliation"
Json = dict[str, Any]


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        yield opened


async def begin(shop: Shop) -> UUID:
    """A comparison of everything up to a minute from now: Stripe's times are whole seconds."""
    platform = shop.till.platform
    async with platform.database.transaction() as session:
        run, is_new = await reconciliation.start(
            session, platform, reconciling.SCOPE, until=shop.now + timedelta(minutes=1), reason="test"
        )
    assert is_new
    return run.id


async def report(shop: Shop, run_id: UUID) -> Json:
    answer = await shop.till.client.get(f"{ROUTE}/{run_id}", headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def compare(shop: Shop) -> Json:
    run_id = await begin(shop)
    await reconciling.work(shop.till.platform, run_id)
    found = await report(shop, run_id)
    assert found["run"]["status"] == "DONE", found
    return found


def told(found: Json) -> list[tuple[str, str, str]]:
    return sorted((one["kind"], one["objectId"], one["action"]) for one in found["findings"])


def kinds(found: Json) -> set[str]:
    return {one["kind"] for one in found["findings"]}


async def paid_visit(shop: Shop, **fields: Any) -> tuple[UUID, UUID, str]:
    """Somebody paid for a pack on Stripe's page, and nobody told us: (who, our checkout, Stripe's session)."""
    person = await shop.person()
    checkout_id = await open_checkout(shop.till.platform, person.id)
    session, _ = await shop.till.stripe.seed(checkout_id, **fields)
    return person.id, checkout_id, session["id"]


# --- nothing, and everything ------------------------------------------------------------------------------------


async def test_where_both_sides_agree_nothing_is_found(shop: Shop) -> None:
    owner, workspace = await shop.team()
    await shop.active(owner, workspace)
    found = await compare(shop)
    again = await compare(shop)
    assert (told(again), again["run"]["healed"], again["run"]["reported"]) == ([], 0, 0)
    compared = again["run"]["compared"]
    assert (compared["subscriptions"], compared["subscriptions of ours"], compared["plan credits"]) == (1, 1, 1)
    assert compared["invoices"] == compared["invoices of ours"] == 1
    assert again["run"]["says"].endswith("things were compared: 0 were brought in line, 0 need a person.")
    assert all(one["action"] == "HEALED" for one in found["findings"])


async def test_money_without_credits_is_healed_once(shop: Shop) -> None:
    user_id, checkout_id, session_id = await paid_visit(shop)
    found = await compare(shop)
    assert told(found) == [("paid_without_credits", session_id, "HEALED")]
    [finding] = found["findings"]
    assert finding["says"] == (
        f"Checkout {session_id}: nothing here, status COMPLETE, payment PAID, credits granted at Stripe."
        " It was brought in line with Stripe."
    )
    assert finding["accountId"] == str(user_id)
    assert await shop.till.bought(user_id) == 550
    assert (await shop.till.checkout(checkout_id))["status"] == "COMPLETE"
    assert told(await compare(shop)) == []
    assert await shop.till.bought(user_id) == 550


async def test_automatic_payments_are_compared_with_their_credits_and_invoices(shop: Shop) -> None:
    person = await shop.person()
    await add_card(shop, person)
    await wants(person)
    await shop.till.stripe.fail(
        pathPrefix="/v1/payment_intents", method="POST", status=500, actThenFail=True, times=9
    )
    await look(shop, person.id)
    await shop.till.stripe.heal()
    assert (await bought(shop, person.id), await bills(person)) == (0, []), "nobody has heard of it"
    [payment] = await payments_of(shop, person)
    found = await compare(shop)
    assert told(found) == [("paid_without_credits", payment.id, "HEALED")]
    assert found["findings"][0]["says"] == (
        f"Automatic payment {payment.id}: nothing here, paid 199, currency USD, credits granted, invoice made at"
        " Stripe. It was brought in line with Stripe."
    )
    assert await bought(shop, person.id) == 100
    [bill] = await bills(person)
    await shop.installation.execute("DELETE FROM invoices WHERE account_id = :id", id=person.id)
    assert told(await compare(shop)) == [("top-ups", payment.id, "HEALED")]
    [again] = await bills(person)
    unlike = {name for name, value in bill.items() if again[name] != value}
    assert unlike <= {"id", "createdAt", "updatedAt"}
    found = await compare(shop)
    compared = found["run"]["compared"]
    assert (told(found), compared["top-ups"], compared["top-ups of ours"]) == ([], 1, 1)
    assert compared.get("invoices of ours", 0) == 0, "it is counted once, as what it is"
    await shop.installation.execute(
        "UPDATE topup_payments SET stripe_payment_intent_id = 'pi_unknown' WHERE account_id = :id", id=person.id
    )
    kinds_found = {(one["kind"], one["action"]) for one in (await compare(shop))["findings"]}
    assert ("top-ups", "REPORTED") in kinds_found, "what we think was paid and Stripe does not have"


async def test_money_that_belongs_to_nobody_is_reported(shop: Shop) -> None:
    unknown = uuid4()
    session, _ = await shop.till.stripe.seed(unknown)
    found = await compare(shop)
    assert told(found) == [("paid_without_credits", session["id"], "REPORTED")]
    assert f"It could not be mended: no checkout {unknown} is known." in found["findings"][0]["says"]
    assert found["run"]["reported"] == 1


async def test_credits_without_money_are_reported(shop: Shop) -> None:
    user_id, _, session_id = await paid_visit(shop)
    await compare(shop)
    answer = await shop.till.stripe.http.get(
        f"/v1/checkout/sessions/{session_id}", headers={"Authorization": "Bearer sk_test_tests"}
    )
    await shop.till.stripe.put(answer.json() | {"payment_status": "unpaid"})
    found = await compare(shop)
    assert told(found) == [("credits_without_payment", session_id, "REPORTED")]
    assert (
        "payment PAID, credits granted here, payment UNPAID, credits none at Stripe." in found["findings"][0]["says"]
    )
    assert await shop.till.bought(user_id) == 550, "a comparison takes nothing away"


async def test_what_is_open_or_ran_out_is_nobodys_concern(shop: Shop) -> None:
    await paid_visit(shop, status="open", paymentStatus="unpaid")
    await paid_visit(shop, status="expired", paymentStatus="unpaid")
    assert told(await compare(shop)) == []


# --- subscriptions, invoices, refunds ---------------------------------------------------------------------------


async def test_a_subscription_that_nobody_told_us_of_is_healed_with_its_invoice_and_credits(shop: Shop) -> None:
    owner, workspace = await shop.team()
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=workspace)
    await shop.pay(begun["clientSecret"])
    stripe_id = begun["subscription"]["stripeSubscriptionId"]
    found = await compare(shop)
    assert ("subscriptions", stripe_id, "HEALED") in told(found)
    assert found["run"]["reported"] == 0
    shown = await shop.shown(owner, workspace)
    assert (shown["status"], shown["plan"]) == ("ACTIVE", "TEAM_STANDARD")
    [(credits,)] = await shop.installation.rows(
        "SELECT sum(amount) FROM credit_grants WHERE account_id = :id AND kind = 'SUBSCRIPTION_GRANT'",
        id=UUID(workspace),
    )
    assert credits == 500
    assert told(await compare(shop)) == []


async def test_a_subscription_that_stripe_does_not_have_is_reported(shop: Shop) -> None:
    person = await shop.person()
    await shop.active(person)
    await shop.installation.execute(
        "UPDATE subscriptions SET stripe_subscription_id = 'sub_gone', status = 'CANCELED'"
    )
    found = await compare(shop)
    [finding] = [one for one in found["findings"] if one["objectId"] == "sub_gone"]
    assert (finding["kind"], finding["action"], finding["stripe"]) == ("subscriptions", "REPORTED", {})
    assert finding["says"].endswith("nothing at Stripe. Stripe does not have it; a person must look.")


async def test_rows_that_went_astray_are_brought_back(shop: Shop) -> None:
    person = await shop.person()
    await shop.active(person)
    await shop.installation.execute(
        "UPDATE invoices SET paid_minor = 1, provider_status = 'open', status = 'PENDING'"
    )
    await shop.installation.execute("UPDATE subscriptions SET status = 'PAST_DUE', cancel_at_period_end = true")
    found = await compare(shop)
    kinds = {(kind, action) for kind, _, action in told(found)}
    assert ("subscriptions", "HEALED") in kinds
    assert {action for _, action in kinds} == {"HEALED"}
    assert await shop.installation.rows("SELECT paid_minor, provider_status, status FROM invoices") == [
        (2999, "paid", "PAID")
    ]
    assert (await shop.shown(person))["status"] == "ACTIVE"


async def test_plan_credits_that_never_came_are_granted(shop: Shop) -> None:
    """The rows of a period's grant are taken out, as if its transaction had never been."""
    person = await shop.person()
    await shop.active(person)
    for statement in (
        "DELETE FROM credit_commands WHERE account_id = :id AND key LIKE 's:plan:%'",
        "DELETE FROM credit_grants WHERE account_id = :id AND kind = 'SUBSCRIPTION_GRANT'",
    ):
        await shop.installation.execute(statement, id=person.id)
    found = await compare(shop)
    assert [kind for kind, _, _ in told(found)] == ["plan_credits"]
    assert (found["findings"][0]["ours"], found["findings"][0]["stripe"]) == (
        {"planCredits": 0},
        {"planCredits": 100},
    )
    assert told(await compare(shop)) == []


async def test_a_refund_given_at_stripes_own_dashboard_is_taken_over(shop: Shop) -> None:
    person = await shop.person()
    await shop.active(person)
    customer_id = (await shop.all_at_stripe(AccountType.USER, person.id))[0].customer_id
    [payment] = (await payments.list_of_customer(shop.door, customer_id)).items
    made = await refunds.create(shop.door, payment_intent_id=payment.id, amount=999, metadata={}, key=new_key())
    found = await compare(shop)
    assert ("refunds", made.id, "HEALED") in told(found)
    assert found["run"]["reported"] == 0
    assert await shop.installation.rows("SELECT amount_minor, status FROM refunds") == [(999, "SUCCEEDED")]
    assert await shop.installation.rows("SELECT refunded_minor FROM invoices") == [(999,)]


async def test_an_end_that_was_not_heard_of_is_heard(shop: Shop) -> None:
    owner, workspace = await shop.team()
    begun = await shop.active(owner, workspace)
    stripe_id = begun["stripeSubscriptionId"]
    await stripe_subscriptions.cancel_now(shop.door, stripe_id, key=new_key())
    found = await compare(shop)
    assert ("subscriptions", stripe_id, "HEALED") in told(found)
    assert (await shop.shown(owner, workspace))["plan"] != "TEAM_STANDARD"


# --- on what both sides agree, and should not ---------------------------------------------------------------------


async def test_a_second_live_subscription_and_what_was_paid_for_it_are_told(shop: Shop) -> None:
    _, team = await shop.team()
    await shop.card(AccountType.WORKSPACE, team)
    elder = await shop.made_elsewhere(team, pay=True)
    await shop.move(minutes=5)
    younger = await shop.made_elsewhere(team, "team_premium_monthly", pay=True)
    await shop.hear(elder)
    found = await compare(shop)
    by_kind = {one["kind"]: one for one in found["findings"] if one["action"] == "REPORTED"}
    second, paid = by_kind["second_subscription"], by_kind["paid_without_effect"]
    assert (second["objectId"], second["accountId"]) == (younger, team)
    assert second["says"] == (
        f"Subscription {younger} (TEAM_PREMIUM, 199.99 USD) is ACTIVE at Stripe, and its account has another one,"
        " which counts. A job ends this one; end it at Stripe if it stays, and refund what was paid."
    )
    assert (
        f"199.99 USD were paid, and its subscription {younger} gives nothing beside the account's other one."
        in (paid["says"])
    )
    assert found["run"]["reported"] == 2
    assert told(await compare(shop)) == told(found), "until somebody has seen to it"
    # Somebody sees to it.
    [customer] = await shop.all_customers(AccountType.WORKSPACE, team)
    listed = (await payments.list_of_customer(shop.door, customer)).items
    [payment] = [one for one in listed if one.amount == PREMIUM]
    await refunds.create(shop.door, payment_intent_id=payment.id, amount=PREMIUM, metadata={}, key=new_key())
    await shop.end_held(younger)
    assert not {"paid_without_effect", "second_subscription"} & kinds(await compare(shop))


async def test_money_that_came_after_the_end_is_told(shop: Shop) -> None:
    person = await shop.person()
    begun = await shop.active(person)
    await stripe_subscriptions.cancel_now(shop.door, begun["stripeSubscriptionId"], key=new_key())
    await shop.hear(begun["stripeSubscriptionId"])
    assert "paid_without_effect" not in kinds(await compare(shop)), "it was paid while it lived"
    await shop.installation.execute("UPDATE subscriptions SET ended_at = ended_at - interval '1 day'")
    await shop.installation.execute("UPDATE invoices SET paid_at = paid_at + interval '1 day'")
    run = (await begin(shop), "money without effect")
    async with shop.till.platform.database.reading() as session:
        row = await repository.run(session, reconciling.SCOPE, run[0])
    assert row is not None
    [finding] = (await dict(reconciling._stages())[run[1]](shop.till.platform, row)).found
    assert (finding.kind, finding.account_id, finding.is_healed) == ("paid_without_effect", person.id, False)
    assert "29.99 USD were paid, and its subscription" in finding.says
    assert "had ended by then. Nothing came of the money" in finding.says
    await shop.installation.execute("UPDATE invoices SET stripe_subscription_id = 'sub_unknown'")
    [finding] = (await dict(reconciling._stages())[run[1]](shop.till.platform, row)).found
    assert "its subscription sub_unknown is not known here" in finding.says


async def test_what_could_not_be_given_back_of_a_deleted_workspace_is_told(shop: Shop) -> None:
    owner, team = await shop.team()
    before, late = [await pay_for_team(shop, owner, team), await pay_for_team(shop, owner, team)]
    await shop.installation.execute(
        "UPDATE workspaces SET deleted_at = (SELECT max(paid_at) FROM invoices) WHERE id = :id", id=UUID(team)
    )
    await shop.installation.execute(
        "UPDATE invoices SET paid_at = paid_at - interval '1 second' WHERE stripe_invoice_id = :id", id=before
    )
    found = [one for one in (await compare(shop))["findings"] if one["kind"] == "paid_without_effect"]
    assert [one["objectId"] for one in found] == [late]
    assert "8.99 USD were paid, and its workspace had been deleted by then." in found[0]["says"]


async def pay_for_team(shop: Shop, owner: Person, team: str) -> str | None:
    """A pack for a pool, heard of: Stripe's id of its invoice."""
    scope = WorkspaceScope(Actor(ActorKind.USER, owner.id), UUID(team), owner.id, "OWNER")
    return (await purchases.bought_pack(shop.till.platform, scope)).invoice_id


async def test_a_live_subscription_of_a_deleted_workspace_is_told(shop: Shop) -> None:
    owner, team = await shop.team()
    begun = await shop.active(owner, team)
    await shop.installation.execute("UPDATE workspaces SET deleted_at = now() WHERE id = :id", id=UUID(team))
    found = await compare(shop)
    told_of = [one for one in found["findings"] if one["kind"] == "subscription_of_deleted_account"]
    assert [(one["objectId"], one["action"]) for one in told_of] == [(begun["stripeSubscriptionId"], "REPORTED")]
    assert "is ACTIVE at Stripe, and its workspace is deleted. End it at Stripe" in told_of[0]["says"]


# --- runs -------------------------------------------------------------------------------------------------------


async def test_a_run_that_is_cut_off_goes_on_and_tells_nothing_twice(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "ROWS_OF_A_STEP", 1)
    visits = [await paid_visit(shop) for _ in range(3)]
    run_id, steps = await begin(shop), 0
    while await reconciling.step(shop.till.platform, run_id):
        steps += 1
        assert steps < 60
        row = (await report(shop, run_id))["run"]
        assert row["status"] == "RUNNING"
        assert row["says"].startswith(f"Under way ({row['part']}).")
    found = await report(shop, run_id)
    assert told(found) == sorted(("paid_without_credits", session_id, "HEALED") for _, _, session_id in visits)
    assert found["run"]["healed"] == 3
    assert not await reconciling.step(shop.till.platform, run_id), "what is done stays done"


async def test_two_workers_at_one_run_count_nothing_twice(shop: Shop) -> None:
    await paid_visit(shop)
    run_id = await begin(shop)
    platform = shop.till.platform
    async with platform.database.reading() as session:
        stale = await repository.run(session, reconciling.SCOPE, run_id)
    assert stale is not None
    progress = await dict(reconciling._stages())["checkouts of Stripe"](platform, stale)
    await reconciling.work(platform, run_id)
    before = await report(shop, run_id)
    # The other worker comes late with what it had found at the first stage.
    await reconciling._write(platform, run_id, (stale.part, stale.after), "checkouts of ours", progress)
    assert await report(shop, run_id) == before


async def test_while_stripe_is_away_the_run_waits(shop: Shop) -> None:
    _, _, session_id = await paid_visit(shop)
    run_id = await begin(shop)
    await shop.till.stripe.fail(status=500, times=200)
    with pytest.raises(PaymentProviderUnavailable):
        await reconciling.work(shop.till.platform, run_id)
    assert (await report(shop, run_id))["run"]["status"] == "RUNNING"
    await shop.till.stripe.heal()
    await billing_jobs.go_on_reconciling.run(JobContext(shop.till.platform, "test"), Reconcile(run_id=run_id))
    found = await report(shop, run_id)
    assert (found["run"]["status"], told(found)) == ("DONE", [("paid_without_credits", session_id, "HEALED")])


async def test_one_runs_at_a_time_and_the_operator_reads_it(shop: Shop) -> None:
    client = shop.till.client
    assert (await client.post(ROUTE, json={})).status_code == 401
    begun = await client.post(ROUTE, json={}, headers=OPERATOR)
    assert begun.status_code == 201, begun.text
    run = begun.json()["run"]
    assert begun.headers["Location"] == f"{ROUTE}/{run['id']}"
    again = await client.post(ROUTE, json={}, headers=OPERATOR)
    assert (again.status_code, again.json()["run"]["id"]) == (200, run["id"])
    await billing_jobs.reconcile_daily(JobContext(shop.till.platform, "test"))
    await reconciling.work(shop.till.platform, UUID(run["id"]))
    later = (await client.post(ROUTE, json={}, headers=OPERATOR)).json()["run"]
    assert later["id"] != run["id"]
    page = (await client.get(ROUTE, params={"limit": "1"}, headers=OPERATOR)).json()
    assert [one["id"] for one in page["runs"]] == [later["id"]]
    query = {"limit": "1", "cursor": page["nextCursor"]}
    rest = (await client.get(ROUTE, params=query, headers=OPERATOR)).json()
    assert ([one["id"] for one in rest["runs"]], rest["nextCursor"]) == ([run["id"]], None)
    assert (await client.get(f"{ROUTE}/{uuid4()}", headers=OPERATOR)).status_code == 404
    for since, until in (("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), ("2020-01-01T00:00:00Z", None)):
        answer = await client.post(ROUTE, json={"since": since, "until": until}, headers=OPERATOR)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_window")


async def test_findings_come_in_pages(shop: Shop) -> None:
    visits = [await paid_visit(shop) for _ in range(3)]
    run_id = await begin(shop)
    await reconciling.work(shop.till.platform, run_id)
    seen, query = [], {"limit": "2"}
    for expected in (2, 1):
        answer = (await shop.till.client.get(f"{ROUTE}/{run_id}", params=query, headers=OPERATOR)).json()
        assert len(answer["findings"]) == expected
        seen += [one["objectId"] for one in answer["findings"]]
        query["cursor"] = answer["nextCursor"]
    assert answer["nextCursor"] is None
    assert sorted(seen) == sorted(session_id for _, _, session_id in visits)


async def test_the_command_says_what_it_found(shop: Shop) -> None:
    lines = await reconciling.run_now(shop.till.platform, timedelta(days=30))
    assert lines[-1].endswith("things were compared: 0 were brought in line, 0 need a person.")
    await paid_visit(shop)
    shop.installation.stand_at(shop.now + timedelta(minutes=1))
    lines = await reconciling.run_now(shop.till.platform, timedelta(days=30))
    assert len(lines) == 2
    assert lines[0].startswith("healed: Checkout cs_")
    assert lines[1].endswith("1 were brought in line, 0 need a person.")
