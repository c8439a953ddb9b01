"""A team's plan, from the first card to the last day, on the pages that its people see."""

from datetime import datetime, timedelta
from typing import Any

from tests.browser.stack import Account, Json, Stack, eventually
from tests.browser.visitor import FAILS_LATER, OTHER_PAYS, TRY, Visitor

STANDARD_CREDITS, PREMIUM_CREDITS = 500, 1000
STANDARD_MINOR, PREMIUM_MINOR = 9999, 19999
TO_COLLECT = timedelta(hours=2)
"""A renewal's invoice is a draft for an hour."""


async def has_plan(account: Account, **fields: Any) -> Json:
    """The subscription, once these fields are so."""
    return await eventually(
        account.subscription, lambda found: all(found[key] == value for key, value in fields.items()), str(fields)
    )


async def has_credits(account: Account, credits: int) -> None:
    await eventually(account.credits, lambda found: found == credits, f"{credits} credits")


async def has_room(account: Account, *, users: int) -> Json:
    """The limits are remembered for a moment longer than the subscription stands as it did."""
    return await eventually(
        account.subscription,
        lambda found: bool(found["usage"]["maxUsers"] == users),
        f"room for {users}",
        timeout_s=5,
    )


async def invoices(account: Account) -> list[Json]:
    """Newest first."""
    found: list[Json] = (await account.get("/billing/invoices"))["invoices"]
    return found


async def try_out(stack: Stack, visitor: Visitor, card: str, plan: str = "TEAM_STANDARD") -> Account:
    """Somebody's new workspace on a plan, got at the hosted page: its first fourteen days are a trial."""
    account = await stack.found_workspace(await stack.register())
    assert (await account.subscription())["plan"] == "FREE"
    body = {"plan": plan, "successUrl": f"{stack.site}/dashboard", "cancelUrl": f"{stack.site}/pricing"}
    opened = await account.send("POST", "/billing/checkout-session", body, status=201)
    await visitor.open(opened["url"])
    assert await visitor.heading() == "Try it for 14 days"
    await visitor.shoot("checkout")
    await visitor.type_card(card, email=account.email)
    assert visitor.is_back
    await has_plan(account, plan=plan, status="TRIALING", billingInterval="MONTHLY")
    await has_room(account, users=10)
    assert 0 < await account.credits() < STANDARD_CREDITS
    assert [one["amount"] for one in await invoices(account)] == [0]
    return account


async def subscribe(stack: Stack, visitor: Visitor, card: str) -> Account:
    """The same when the trial is over and the first month paid."""
    account = await try_out(stack, visitor, card)
    await until_renewed(stack, account)
    await has_plan(account, plan="TEAM_STANDARD", status="ACTIVE")
    await has_credits(account, STANDARD_CREDITS)
    return account


async def until_renewed(stack: Stack, account: Account) -> None:
    """Time goes on into the next period."""
    ends = datetime.fromisoformat((await account.subscription())["currentPeriodEnd"])
    await stack.advance(seconds=(ends + TO_COLLECT - await stack.now()).total_seconds())


async def open_portal(stack: Stack, account: Account, visitor: Visitor) -> None:
    """Where a person looks after their plan, cards and invoices."""
    link = await account.send("POST", "/billing/portal-link")
    await visitor.open(link["url"])
    assert await visitor.heading() == "Your subscription and payments"


async def test_a_month_goes_by_and_the_plan_renews(stack: Stack, visitor: Visitor) -> None:
    account = await subscribe(stack, visitor, TRY[0])
    await account.send("POST", "/credits/spend", {"amount": 120, "description": "a long talk"})
    await has_credits(account, STANDARD_CREDITS - 120)
    first = await account.subscription()
    await until_renewed(stack, account)
    renewed = await has_plan(
        account, plan="TEAM_STANDARD", status="ACTIVE", currentPeriodStart=first["currentPeriodEnd"]
    )
    await has_credits(account, STANDARD_CREDITS)
    lots = [lot for lot in (await account.get("/ai/credits"))["lots"] if lot["remaining"]]
    assert [(lot["kind"], lot["remaining"], lot["expiresAt"]) for lot in lots] == [
        ("SUBSCRIPTION_GRANT", STANDARD_CREDITS, renewed["currentPeriodEnd"])
    ]
    bills = await invoices(account)
    paid = [("PAID", STANDARD_MINOR), ("PAID", STANDARD_MINOR), ("PAID", 0)]
    assert [(one["status"], one["amount"]) for one in bills] == paid

    file = await account.client.get(f"/api/billing/invoices/{bills[0]['id']}/pdf", params=account.whose)
    assert (file.status_code, file.headers["Content-Type"]) == (200, "application/pdf"), file.text
    assert file.content.startswith(b"%PDF-")
    (visitor.shots / f"{visitor.story}.pdf").write_bytes(file.content)
    await open_portal(stack, account, visitor)
    await visitor.shoot("portal")
    async with visitor.page.expect_download() as download:
        await visitor.page.get_by_role("link", name=f"PDF of invoice {bills[0]['number']}").click()
    path = await (await download.value).path()
    assert path.read_bytes().startswith(b"%PDF-")
    assert await stack.held_events() == []


async def test_an_upgrade_costs_what_was_quoted_to_the_cent(stack: Stack, visitor: Visitor) -> None:
    account = await subscribe(stack, visitor, TRY[1])
    await stack.advance(days=11, hours=5, minutes=17)
    asked = await account.send("POST", "/billing/subscription/preview", {"plan": "TEAM_PREMIUM"})
    quote = asked["quote"]
    assert quote["kind"] == "UPGRADE"
    assert 0 < quote["amountDue"] < PREMIUM_MINOR - STANDARD_MINOR
    assert 0 < quote["credits"]["grantedNow"] < PREMIUM_CREDITS - STANDARD_CREDITS
    await account.send("PUT", "/billing/subscription", {"plan": "TEAM_PREMIUM", "quoteId": quote["id"]})
    await has_plan(account, plan="TEAM_PREMIUM", status="ACTIVE")
    await has_credits(account, STANDARD_CREDITS + quote["credits"]["grantedNow"])
    newest, first, _trial = await invoices(account)
    assert (newest["status"], newest["amount"], first["amount"]) == ("PAID", quote["amountDue"], STANDARD_MINOR)
    await visitor.open(str(stack.stripe.base_url.join("/invoices")))
    await visitor.page.get_by_role("link", name=newest["number"]).click()
    await visitor.shoot("invoice")
    assert f"{quote['amountDue'] / 100:,.2f} USD" in await visitor.text()
    assert await stack.held_events() == []


async def test_leaving_in_the_portal_keeps_what_is_paid_for(stack: Stack, visitor: Visitor) -> None:
    account = await subscribe(stack, visitor, TRY[2])
    await stack.advance(days=3)
    await open_portal(stack, account, visitor)
    await visitor.press("Cancel at the end of the period")
    await visitor.shoot("canceled")
    leaving = await has_plan(account, plan="TEAM_STANDARD", status="ACTIVE", cancelAtPeriodEnd=True)
    assert await account.credits() == STANDARD_CREDITS
    await visitor.press("Keep the subscription")
    await has_plan(account, plan="TEAM_STANDARD", cancelAtPeriodEnd=False)
    await visitor.press("Cancel at the end of the period")
    await has_plan(account, plan="TEAM_STANDARD", cancelAtPeriodEnd=True)
    await until_renewed(stack, account)
    await has_plan(account, plan="FREE", status="ACTIVE")
    assert await account.credits() == 0
    assert len(await invoices(account)) == 2
    assert leaving["currentPeriodEnd"] < (await stack.now()).isoformat()
    assert await stack.held_events() == []


async def replace_card(stack: Stack, account: Account, visitor: Visitor, card: str) -> None:
    """A card typed in the portal, and made the one that pays."""
    await open_portal(stack, account, visitor)
    await visitor.press("Add a card")
    await visitor.type_card(card)
    await visitor.shoot("cards")
    # The portal makes a customer's first default by itself.
    choose = visitor.page.get_by_role("button", name=f"Make the card ending in {card[-4:]} the default")
    if await choose.count():
        await choose.click()
    await eventually(
        lambda: account.get("/billing/payment-methods"),
        lambda found: [one["cardLast4"] for one in found["paymentMethods"] if one["isDefault"]] == [card[-4:]],
        f"the card ending in {card[-4:]} is the default",
    )


async def test_a_renewal_that_is_not_paid(stack: Stack, visitor: Visitor) -> None:
    """Past due, then days of grace, then the free plan's limits, then paid after all."""
    account = await subscribe(stack, visitor, TRY[3])
    await replace_card(stack, account, visitor, FAILS_LATER)
    await until_renewed(stack, account)
    unpaid = await has_plan(account, plan="TEAM_STANDARD", status="PAST_DUE")
    await has_room(account, users=10)
    assert unpaid["graceEndsAt"] is not None
    assert (await invoices(account))[0]["status"] == "FAILED"
    await open_portal(stack, account, visitor)
    await visitor.shoot("past-due")

    await stack.advance(days=6)
    await has_room(account, users=10)
    await stack.advance(days=1, hours=4)
    over = await has_room(account, users=1)
    assert (over["status"], over["usage"]["maxStorage"]) == ("PAST_DUE", 1 << 30)

    await open_portal(stack, account, visitor)
    await visitor.page.get_by_role("link", name=(await invoices(account))[0]["number"], exact=True).click()
    await visitor.shoot("open-invoice")
    await visitor.page.get_by_role("link", name="Pay ").click()
    await visitor.type_card(OTHER_PAYS)
    await visitor.shoot("paid")
    back = await has_plan(account, plan="TEAM_STANDARD", status="ACTIVE")
    await has_room(account, users=10)
    assert back["graceEndsAt"] is None
    await has_credits(account, STANDARD_CREDITS)
    assert [one["status"] for one in await invoices(account)] == ["PAID"] * 3
    assert await stack.held_events() == []
