"""What ends at Stripe by itself: with its workspace, with what it owes, and a trial whose card has had one."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel

from pm_api.core.jobs import Job, JobContext, TryAgain
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.billing import closing, subscriptions
from pm_api.domains.billing import invoices as bills
from pm_api.domains.billing import jobs as billing_jobs
from pm_api.domains.billing.flows.checkouts import CLOSE_PAGES, GoneAccount
from pm_api.domains.payments import customers
from pm_api.entitlements.enums import AccountType, Plan
from pm_api.identity.events import WorkspaceChanged
from pm_api.integrations.stripe import checkouts, invoices, payments
from pm_api.integrations.stripe import subscriptions as stripe_subscriptions
from tests.conftest import Person
from tests.domains.billing.bills import tell
from tests.domains.billing.subscribing import (
    ASKS,
    FAILS_LATER,
    PAYS,
    STANDARD,
    SUBSCRIPTION,
    SUBSCRIPTIONS,
    Shop,
    new_key,
)
from tests.domains.billing.test_checkouts import told
from tests.domains.billing.wallets import (
    ASKS_ALWAYS,
    SMALL_PRICE,
    TOP_UPS,
    add_card,
    hear_of,
    look,
    sweep_flows,
    top_ups,
    wants,
)

Json = dict[str, Any]
CHECKOUT = "/api/billing/checkout-session"
WORKSPACES = "/api/workspaces"


def worker(shop: Shop) -> JobContext:
    return JobContext(shop.till.platform, "test", attempt=1)


async def waiting_jobs(shop: Shop, entrypoint: str) -> list[Json]:
    """What the worker is going to be told."""
    rows = await shop.rows(
        "SELECT payload FROM pgqueuer WHERE entrypoint = :name AND status = 'queued' ORDER BY id", name=entrypoint
    )
    return [json.loads(bytes(payload)) for (payload,) in rows]


async def do_jobs(shop: Shop) -> None:
    """What the worker does about endings, from the queue's own rows: each job once, until none is left."""
    kinds: tuple[tuple[Job[Any], type[BaseModel]], ...] = (
        (billing_jobs.end_with_workspace, WorkspaceChanged),
        (subscriptions.END_HELD, subscriptions.HeldSubscription),
        (subscriptions.VOID_OPEN, subscriptions.EndedSubscription),
        (CLOSE_PAGES, GoneAccount),
        (bills.GIVE_BACK, bills.PaidTooLate),
    )
    for _ in range(4):
        for job, payload_of in kinds:
            for payload in await waiting_jobs(shop, job.name):
                await shop.installation.execute(
                    "DELETE FROM pgqueuer WHERE id = (SELECT min(id) FROM pgqueuer WHERE entrypoint = :name)",
                    name=job.name,
                )
                await job.run(worker(shop), payload_of.model_validate(payload))


async def open_invoices(shop: Shop, stripe_id: str) -> list[str]:
    return [one.id for one in (await shop.picture(stripe_id)).invoices if one.status == "open"]


async def delete(shop: Shop, owner: Person, team: str) -> None:
    answer = await owner.client.delete(f"{WORKSPACES}/{team}")
    assert answer.status_code == 204, answer.text


# --- with its workspace ----------------------------------------------------------------------------------------


async def test_deleting_a_workspace_ends_its_subscription_and_restoring_brings_none_back(shop: Shop) -> None:
    owner, team = await shop.team()
    stripe_id = (await shop.active(owner, team))["stripeSubscriptionId"]
    await delete(shop, owner, team)
    await do_jobs(shop)
    assert (await shop.at_stripe(stripe_id)).status == "canceled"
    restored = await shop.send(owner, "POST", f"{WORKSPACES}/{team}/restore")
    assert restored.status_code == 200, restored.text
    await shop.move(days=40)
    await shop.hear(stripe_id)
    assert (await shop.shown(owner, team))["plan"] == "FREE"
    assert (await shop.standing(team)).plan is Plan.FREE
    assert len((await shop.picture(stripe_id)).invoices) == 1, "nothing was charged since"


async def test_restored_before_the_worker_came_it_is_ended_all_the_same(shop: Shop) -> None:
    owner, team = await shop.team()
    stripe_id = (await shop.active(owner, team))["stripeSubscriptionId"]
    await shop.move(minutes=5)
    await delete(shop, owner, team)
    await shop.send(owner, "POST", f"{WORKSPACES}/{team}/restore")
    await do_jobs(shop)
    assert (await shop.at_stripe(stripe_id)).status == "canceled"


async def test_a_trial_and_one_that_waits_end_with_their_workspace_too(shop: Shop) -> None:
    owner, tried = await shop.team()
    card = await shop.card(AccountType.WORKSPACE, tried)
    body: Json = {"plan": "TEAM_STANDARD", "workspaceId": tried, "paymentMethodId": card}
    trial = (await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **body))["subscription"]
    assert trial["status"] == "TRIALING"
    other, unpaid = await shop.team()
    begun = await shop.done(other, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=unpaid)
    for person, team, found in ((owner, tried, trial), (other, unpaid, begun["subscription"])):
        await delete(shop, person, team)
        await do_jobs(shop)
        assert (await shop.at_stripe(found["stripeSubscriptionId"])).status in ("canceled", "incomplete_expired")
        assert await open_invoices(shop, found["stripeSubscriptionId"]) == []


async def test_one_that_arrives_for_a_deleted_workspace_is_ended(shop: Shop) -> None:
    """Begun at Stripe's page, which was open when the workspace was deleted."""
    owner, team = await shop.team()
    await shop.card(AccountType.WORKSPACE, team)
    await delete(shop, owner, team)
    await do_jobs(shop)
    late = await shop.made_elsewhere(team, pay=True)
    await shop.hear(late)
    await do_jobs(shop)
    assert (await shop.at_stripe(late)).status == "canceled"
    [invoice] = (await shop.picture(late)).invoices
    assert await given_back(shop, invoice.id) == STANDARD, "nobody pays for what is gone"


async def given_back(shop: Shop, stripe_invoice_id: str | None) -> int:
    """What went back of a paid invoice, by our books and by Stripe's, which must agree."""
    assert stripe_invoice_id is not None
    at_stripe = await invoices.retrieve(shop.door, stripe_invoice_id)
    assert at_stripe.charge_id is not None
    charge = await payments.retrieve_charge(shop.door, at_stripe.charge_id)
    [(refunded,)] = await shop.rows(
        "SELECT refunded_minor FROM invoices WHERE stripe_invoice_id = :id", id=stripe_invoice_id
    )
    assert refunded == charge.amount_refunded
    return charge.amount_refunded


async def pages(shop: Shop, owner: Person, team: str) -> list[str]:
    """One for a pack, one for a plan."""
    return [
        (await shop.done(owner, "POST", CHECKOUT, 201, workspaceId=team, **item))["sessionId"]
        for item in ({"pack": "MEDIUM"}, {"plan": "TEAM_STANDARD"})
    ]


async def page_states(shop: Shop, team: str, opened: list[str]) -> tuple[list[str], list[str]]:
    """At Stripe, and here."""
    rows = await shop.rows(
        "SELECT status FROM checkout_sessions WHERE account_id = CAST(:id AS uuid) ORDER BY id", id=team
    )
    return [(await checkouts.retrieve(shop.door, one)).status for one in opened], [row[0] for row in rows]


async def pay_on(shop: Shop, session_id: str) -> None:
    """In the browser."""
    fields = {"email": "ada@example.com", "card_number": PAYS, "expiry": "12 / 40", "cvc": "123", "name": "Ada"}
    answer = await shop.till.stripe.http.post(f"/checkout/{session_id}", data=fields)
    assert answer.status_code in (200, 303), answer.text


async def test_pages_that_are_open_close_with_their_workspace(shop: Shop) -> None:
    owner, team = await shop.team()
    opened = await pages(shop, owner, team)
    await delete(shop, owner, team)
    await shop.till.stripe.fail(pathPrefix="/v1/checkout", status=500, times=99)
    gone = GoneAccount(account_kind=AccountType.WORKSPACE, account_id=UUID(team))
    with pytest.raises(TryAgain):
        await CLOSE_PAGES.run(worker(shop), gone)
    await shop.till.stripe.heal()
    await do_jobs(shop)
    assert await page_states(shop, team, opened) == (["expired"] * 2, ["EXPIRED"] * 2)
    await CLOSE_PAGES.run(worker(shop), gone)

    other, kept = await shop.team()
    left = await pages(shop, other, kept)
    await delete(shop, other, kept)
    assert (await shop.send(other, "POST", f"{WORKSPACES}/{kept}/restore")).status_code == 200
    await do_jobs(shop)
    assert await page_states(shop, kept, left) == (["open"] * 2, ["OPEN"] * 2), "who is there may buy"
    await closing.stop_buying(shop.till.platform, (AccountType.WORKSPACE, UUID(kept)), for_good=True)
    assert await page_states(shop, kept, left) == (["expired"] * 2, ["EXPIRED"] * 2), "who is erased may not"


async def test_a_page_that_was_being_opened_closes_too(shop: Shop) -> None:
    """Stripe has it, and we have not heard of it when the workspace is deleted."""
    owner, team = await shop.team()
    await customers.ensure(shop.till.platform, AccountType.WORKSPACE, UUID(team))
    await shop.till.stripe.fail(
        pathPrefix="/v1/checkout/sessions", method="POST", status=500, actThenFail=True, times=9
    )
    answer = await shop.send(owner, "POST", CHECKOUT, pack="MEDIUM", workspaceId=team)
    assert answer.status_code == 503, answer.text
    await shop.till.stripe.heal()
    await delete(shop, owner, team)
    await do_jobs(shop)
    await sweep_flows(shop, seconds=90)
    await do_jobs(shop)
    [opened] = (
        await checkouts.list_of_customer(
            shop.door, await customers.ensure(shop.till.platform, AccountType.WORKSPACE, UUID(team))
        )
    ).items
    assert await page_states(shop, team, [opened.id]) == (["expired"], ["EXPIRED"])


async def test_what_is_paid_for_a_deleted_workspace_goes_back(shop: Shop) -> None:
    """Before the worker came, somebody paid on the page that was open."""
    owner, team = await shop.team()
    operator = await shop.person()
    await shop.installation.execute("UPDATE users SET is_admin = true WHERE id = :id", id=operator.id)
    [page, _] = await pages(shop, owner, team)
    await shop.move(seconds=2)
    await delete(shop, owner, team)
    await shop.move(seconds=2)
    await pay_on(shop, page)
    paid = await checkouts.retrieve(shop.door, page)
    for kind, about in (("checkout.session.completed", paid.id), ("invoice.paid", paid.invoice_id)):
        await tell(shop, kind, about or "")
    assert await shop.credits(team) == 550, "they are there if it is restored"
    [told_of] = await shop.notices(operator, "billing.paid_for_deleted")
    assert "8.99 USD were paid" in told_of["title"]
    await shop.till.stripe.fail(pathPrefix="/v1/refunds", method="POST", status=500, times=9)
    [payload] = await waiting_jobs(shop, bills.GIVE_BACK.name)
    with pytest.raises(TryAgain):
        await bills.GIVE_BACK.run(worker(shop), bills.PaidTooLate.model_validate(payload))
    await shop.till.stripe.heal()
    with pytest.raises(TryAgain):
        await bills.GIVE_BACK.run(worker(shop), bills.PaidTooLate.model_validate(payload))
    await sweep_flows(shop, seconds=90)
    await do_jobs(shop)
    assert await given_back(shop, paid.invoice_id) == 899
    assert await shop.credits(team) == 0
    await bills.GIVE_BACK.run(worker(shop), bills.PaidTooLate.model_validate(payload))
    assert await given_back(shop, paid.invoice_id) == 899, "once"
    assert (await shop.send(owner, "POST", f"{WORKSPACES}/{team}/restore")).status_code == 200


async def test_what_was_paid_before_and_what_is_restored_stays(shop: Shop) -> None:
    owner, team = await shop.team()
    [first, _] = await pages(shop, owner, team)
    await pay_on(shop, first)
    early = await checkouts.retrieve(shop.door, first)
    await shop.move(seconds=2)
    await delete(shop, owner, team)
    await tell(shop, "invoice.paid", early.invoice_id or "")
    assert await waiting_jobs(shop, bills.GIVE_BACK.name) == [], "it was bought when the workspace was there"
    [(invoice_id,)] = await shop.rows("SELECT id FROM invoices")
    assert (await shop.send(owner, "POST", f"{WORKSPACES}/{team}/restore")).status_code == 200
    await bills.GIVE_BACK.run(worker(shop), bills.PaidTooLate(invoice_id=invoice_id))
    assert await given_back(shop, early.invoice_id) == 0
    await shop.move(seconds=2)
    await delete(shop, owner, team)
    await bills.GIVE_BACK.run(worker(shop), bills.PaidTooLate(invoice_id=invoice_id))
    assert await given_back(shop, early.invoice_id) == 0, "nor of one that is deleted again: it was there meanwhile"


async def test_a_top_up_that_its_bank_asks_about_is_called_off_with_its_workspace(shop: Shop) -> None:
    owner, team = await shop.team()
    await add_card(shop, owner, team, number=ASKS_ALWAYS)
    await wants(owner, team)
    await look(shop, team, AccountKind.WORKSPACE)
    assert [one["status"] for one in await top_ups(owner, team)] == ["ACTION_REQUIRED"]
    await delete(shop, owner, team)
    await do_jobs(shop)
    rows = await shop.rows("SELECT status, stripe_payment_intent_id FROM topup_payments")
    [(status, payment_id)] = rows
    assert (status, (await payments.retrieve(shop.door, payment_id)).status) == ("CANCELED", "canceled")


async def test_a_top_up_that_was_confirmed_after_its_workspace_was_deleted_goes_back(shop: Shop) -> None:
    owner, team = await shop.team()
    await add_card(shop, owner, team, number=ASKS_ALWAYS)
    await wants(owner, team)
    await look(shop, team, AccountKind.WORKSPACE)
    [waiting] = await top_ups(owner, team)
    how = (await owner.client.get(f"{TOP_UPS}/{waiting['id']}/confirmation")).json()["confirmation"]
    await shop.move(seconds=2)
    await delete(shop, owner, team)
    await shop.move(seconds=2)
    confirmed = await shop.control(
        "PUT",
        f"/elements/{how['clientSecret']}",
        {"paymentMethod": how["stripePaymentMethodId"], "confirm": True},
    )
    assert confirmed["error"] is None, confirmed
    await hear_of(shop, team, "payment_intent.succeeded")
    await do_jobs(shop)
    payment = await payments.retrieve(shop.door, waiting["stripePaymentIntentId"])
    assert payment.charge_id is not None
    charge = await payments.retrieve_charge(shop.door, payment.charge_id)
    rows = await shop.rows("SELECT status, refunded_minor FROM invoices")
    assert (charge.amount_refunded, rows) == (SMALL_PRICE, [("REFUNDED", SMALL_PRICE)])
    assert await shop.credits(team) == 0


async def test_while_stripe_is_away_the_end_waits(shop: Shop) -> None:
    owner, team = await shop.team()
    stripe_id = (await shop.active(owner, team))["stripeSubscriptionId"]
    await delete(shop, owner, team)
    events = await waiting_jobs(shop, billing_jobs.end_with_workspace.name)
    [event] = [one for one in events if one["action"] == "deleted"]
    await billing_jobs.end_with_workspace.run(worker(shop), WorkspaceChanged.model_validate(event))
    await shop.till.stripe.fail(status=500, times=99, pathPrefix="/v1/subscriptions", method="GET")
    with pytest.raises(TryAgain):
        await shop.end_held(stripe_id)
    await shop.till.stripe.heal()
    await do_jobs(shop)
    assert (await shop.at_stripe(stripe_id)).status == "canceled"


async def test_an_archived_workspace_keeps_its_subscription(shop: Shop) -> None:
    owner, team = await shop.team()
    stripe_id = (await shop.active(owner, team))["stripeSubscriptionId"]
    event = WorkspaceChanged(
        id=uuid4(), workspace_id=UUID(team), action="archived", version=2, actor_user_id=owner.id
    )
    await billing_jobs.end_with_workspace.run(worker(shop), event)
    assert await waiting_jobs(shop, subscriptions.END_HELD.name) == []
    await shop.end_held(stripe_id)
    assert (await shop.at_stripe(stripe_id)).status == "active"


# --- what it owes ----------------------------------------------------------------------------------------------


async def test_one_that_was_never_paid_and_is_canceled_leaves_nothing_to_pay(shop: Shop) -> None:
    owner, team = await shop.team()
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team)
    stripe_id = begun["subscription"]["stripeSubscriptionId"]
    assert len(await open_invoices(shop, stripe_id)) == 1
    await shop.done(owner, "POST", f"{SUBSCRIPTION}/cancel", workspaceId=team)
    [invoice] = (await shop.picture(stripe_id)).invoices
    assert invoice.status == "void"


async def test_one_too_many_that_is_ended_leaves_nothing_to_pay(shop: Shop) -> None:
    owner, team = await shop.team()
    await shop.card(AccountType.WORKSPACE, team)
    await shop.active(owner, team)
    younger = await shop.made_elsewhere(team, "team_premium_monthly")
    await shop.hear(younger)
    await do_jobs(shop)
    assert (await shop.at_stripe(younger)).status in ("canceled", "incomplete_expired")
    assert await open_invoices(shop, younger) == []


async def ended_by_dunning(shop: Shop) -> tuple[Person, str, str, str]:
    """Somebody whose renewal failed until Stripe gave up: owner, workspace, subscription, its open invoice."""
    await shop.control("PUT", "/collection", {"retryDays": [1], "lastStep": "cancel"})
    owner, team = await shop.team()
    stripe_id = (await shop.active(owner, team))["stripeSubscriptionId"]
    card = await shop.card(AccountType.WORKSPACE, team, FAILS_LATER)
    await stripe_subscriptions.set_default_payment_method(shop.door, stripe_id, card, key=new_key())
    await shop.move(days=31, hours=2)
    await shop.hear(stripe_id)
    await shop.move(days=2)
    assert (await shop.at_stripe(stripe_id)).status == "canceled"
    [invoice] = await open_invoices(shop, stripe_id)
    return owner, team, stripe_id, invoice


async def test_what_ended_owing_is_not_to_be_paid_any_more(shop: Shop) -> None:
    _, _, stripe_id, invoice = await ended_by_dunning(shop)
    await shop.hear(stripe_id)
    await do_jobs(shop)
    assert (await invoices.retrieve(shop.door, invoice)).status == "void"
    assert await waiting_jobs(shop, subscriptions.VOID_OPEN.name) == []


async def test_what_is_paid_after_the_end_brings_nothing_and_says_so(shop: Shop) -> None:
    """Its owner was quicker than the job."""
    owner, team, stripe_id, invoice = await ended_by_dunning(shop)
    await shop.hear(stripe_id)
    before = await shop.credits(team)
    renewals = len(await shop.notices(owner, "billing.renewed"))
    await shop.move(minutes=10)
    card = await shop.card(AccountType.WORKSPACE, team)
    await invoices.pay(shop.door, invoice, payment_method_id=card, key=new_key())
    for _ in range(2):
        await shop.hear(stripe_id)
    assert await shop.credits(team) == before
    assert (await shop.standing(team)).plan is Plan.FREE
    assert len(await shop.notices(owner, "billing.renewed")) == renewals
    [notice] = await shop.notices(owner, "billing.paid_after_end")
    assert notice["data"]["amount"] == STANDARD
    assert "99.99 USD" in notice["title"]
    await do_jobs(shop)
    assert (await invoices.retrieve(shop.door, invoice)).status == "paid"


# --- trials ----------------------------------------------------------------------------------------------------


async def by_the_page(shop: Shop) -> tuple[Person, str, str]:
    """A trial that was begun at Stripe's page: owner, workspace, subscription."""
    owner, team = await shop.team()
    page = await shop.done(owner, "POST", CHECKOUT, 201, plan="TEAM_STANDARD", workspaceId=team)
    fields = {"email": "ann@example.com", "card_number": PAYS, "expiry": "12 / 40", "cvc": "123", "name": "Ann"}
    answer = await shop.till.stripe.http.post(f"/checkout/{page['sessionId']}", data=fields)
    assert answer.status_code < 400, answer.text
    [found] = await shop.all_at_stripe(AccountType.WORKSPACE, team)
    assert found.status == "trialing"
    await shop.hear(found.id)
    await told(shop.till, page["sessionId"])
    return owner, team, found.id


async def test_at_stripes_page_too_a_card_is_good_for_one_trial(shop: Shop) -> None:
    first, team, stripe_id = await by_the_page(shop)
    assert (await shop.shown(first, team))["status"] == "TRIALING"
    given = await shop.credits(team)
    assert given > 0
    second, other, again = await by_the_page(shop)
    # At no moment does the second one give anything.
    assert await shop.credits(other) == 0
    assert (await shop.standing(other)).plan is Plan.FREE
    await do_jobs(shop)
    assert (await shop.at_stripe(again)).status == "canceled"
    await shop.hear(again)
    assert await shop.credits(other) == 0
    [notice] = await shop.notices(second, "billing.trial_refused")
    assert "Subscribe without a trial" in notice["body"]
    # The first one goes on, and the second may pay.
    await shop.hear(stripe_id)
    await do_jobs(shop)
    assert (await shop.at_stripe(stripe_id)).status == "trialing"
    assert await shop.credits(team) == given
    assert await shop.notices(first, "billing.trial_refused") == []
    assert (await shop.active(second, other))["status"] == "ACTIVE"


async def test_another_card_during_a_trial_does_not_end_it(shop: Shop) -> None:
    """Not even one that another account has had its trial with."""
    _, _, _ = await by_the_page(shop)
    owner, team = await shop.team()
    card = await shop.card(AccountType.WORKSPACE, team, "pm_card_mastercard")
    body: Json = {"plan": "TEAM_STANDARD", "workspaceId": team, "paymentMethodId": card}
    trial = (await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **body))["subscription"]
    used = await shop.card(AccountType.WORKSPACE, team)
    stripe_id = trial["stripeSubscriptionId"]
    await stripe_subscriptions.set_default_payment_method(shop.door, stripe_id, used, key=new_key())
    await shop.hear(stripe_id)
    await do_jobs(shop)
    assert (await shop.shown(owner, team))["status"] == "TRIALING"
    assert (await shop.at_stripe(stripe_id)).status == "trialing"


# --- charged at once -------------------------------------------------------------------------------------------


async def test_a_good_card_that_is_named_pays_at_once(shop: Shop) -> None:
    person = await shop.person()
    card = await shop.card(AccountType.USER, person.id)
    begun = await shop.done(person, "POST", SUBSCRIPTIONS, 201, plan="INDIVIDUAL_PRO", paymentMethodId=card)
    assert (begun["subscription"]["status"], begun["clientSecret"]) == ("ACTIVE", None)
    assert await shop.credits(None, person) == 100


async def test_a_card_whose_holder_has_to_agree_waits_for_it(shop: Shop) -> None:
    person = await shop.person()
    card = await shop.card(AccountType.USER, person.id, "pm_card_authenticationRequired")
    begun = await shop.done(person, "POST", SUBSCRIPTIONS, 201, plan="INDIVIDUAL_PRO", paymentMethodId=card)
    assert begun["subscription"]["status"] == "INCOMPLETE"
    await shop.pay(begun["clientSecret"], ASKS, confirm=True)
    await shop.hear(begun["subscription"]["stripeSubscriptionId"])
    assert (await shop.shown(person))["status"] == "ACTIVE"


async def test_a_card_that_is_declined_begins_nothing_and_leaves_nothing(shop: Shop) -> None:
    person = await shop.person()
    card = await shop.card(AccountType.USER, person.id, FAILS_LATER)
    key = new_key()
    body: Json = {"plan": "INDIVIDUAL_PRO", "paymentMethodId": card}
    for _ in range(2):
        answer = await shop.send(person, "POST", SUBSCRIPTIONS, key=key, **body)
        assert (answer.status_code, answer.json()["code"]) == (402, "card_declined")
        assert answer.json()["declineCode"]
    [tried] = await shop.all_at_stripe(AccountType.USER, person.id)
    assert tried.status in ("canceled", "incomplete_expired")
    assert await open_invoices(shop, tried.id) == []
    good = await shop.card(AccountType.USER, person.id)
    begun = await shop.done(person, "POST", SUBSCRIPTIONS, 201, plan="INDIVIDUAL_PRO", paymentMethodId=good)
    assert begun["subscription"]["status"] == "ACTIVE"


# --- one that waits, and another wish --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other", [{"plan": "TEAM_PREMIUM"}, {"billingInterval": "YEARLY"}, {"promotionCode": "FIFTH"}]
)
async def test_while_one_waits_another_wish_is_refused_and_the_same_is_answered(shop: Shop, other: Json) -> None:
    owner, team = await shop.team()
    body: Json = {"plan": "TEAM_STANDARD", "workspaceId": team}
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **body)
    answer = await shop.send(owner, "POST", SUBSCRIPTIONS, **(body | other))
    assert (answer.status_code, answer.json()["code"]) == (409, "subscription_incomplete"), answer.text
    assert "cancel it first" in answer.json()["detail"]
    assert await shop.done(owner, "POST", SUBSCRIPTIONS, 200, **body) == begun
    await shop.done(owner, "POST", f"{SUBSCRIPTION}/cancel", workspaceId=team)
    if "promotionCode" not in other:
        again = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **(body | other))
        assert again["subscription"]["plan"] == (body | other)["plan"]


async def test_asking_for_the_plan_there_is_undoes_a_scheduled_downgrade(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team, plan="TEAM_PREMIUM")
    await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_STANDARD", workspaceId=team)
    body: Json = {"plan": "TEAM_PREMIUM", "workspaceId": team}
    quote = (await shop.done(owner, "POST", f"{SUBSCRIPTION}/preview", **body))["quote"]
    assert (quote["amountDue"], quote["credits"]["grantedNow"]) == (0, 0)
    undone = await shop.done(owner, "PUT", SUBSCRIPTION, **body, quoteId=quote["id"])
    assert undone["subscription"]["scheduledChange"] is None
    assert (await shop.at_stripe(found["stripeSubscriptionId"])).schedule_id is None
    assert await shop.refused(owner, "PUT", SUBSCRIPTION, **body) == (409, "plan_unchanged")
    await shop.move(days=31, hours=2)
    await shop.hear(found["stripeSubscriptionId"])
    assert (await shop.shown(owner, team))["plan"] == "TEAM_PREMIUM"
    assert len((await shop.picture(found["stripeSubscriptionId"])).invoices) == 2


async def test_beside_a_contract_the_refusal_names_the_contract(shop: Shop) -> None:
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
    for path in (SUBSCRIPTIONS, CHECKOUT):
        answer = await shop.send(owner, "POST", path, plan="TEAM_STANDARD", workspaceId=team)
        assert (answer.status_code, answer.json()["code"]) == (409, "subscription_exists")
        assert "contract" in answer.json()["detail"]
        assert "End it first" not in answer.json()["detail"]
