"""Credits bought with a card, on the page that a buyer sees."""

from tests.browser.stack import Account, Json, Stack, eventually
from tests.browser.visitor import ASKS, DECLINES, PAYS, Visitor

FREE_CREDITS = 10
MEDIUM_CREDITS = 550


async def begin(account: Account, stack: Stack, pack: str = "MEDIUM") -> Json:
    """The way to the payment page."""
    body = {"pack": pack, "successUrl": f"{stack.site}/credits?paid=1", "cancelUrl": f"{stack.site}/credits"}
    return await account.send("POST", "/billing/checkout-session", body, status=201)


async def has(account: Account, credits: int) -> None:
    await eventually(account.credits, lambda found: found == credits, f"{credits} credits")


async def session_of(account: Account, opened: Json) -> Json:
    """What the application shows about the visit after the return."""
    found: Json = await account.get(f"/billing/checkout-session/{opened['sessionId']}")
    return found


async def test_a_medium_pack_with_4242_is_550_credits(stack: Stack, visitor: Visitor) -> None:
    account = await stack.register()
    assert await account.credits() == FREE_CREDITS
    opened = await begin(account, stack)
    await visitor.open(opened["url"])
    assert await visitor.heading() == "Pay 8.99 USD"
    await visitor.shoot("checkout")
    await visitor.type_card(PAYS, email=account.email)
    assert visitor.is_back
    await visitor.shoot("back")
    await has(account, FREE_CREDITS + MEDIUM_CREDITS)
    packs = [lot for lot in (await account.get("/ai/credits"))["lots"] if lot["kind"] in {"PURCHASE", "BONUS"}]
    assert sorted(lot["remaining"] for lot in packs) == [50, 500]
    visit = (await session_of(account, opened))["checkoutSession"]
    assert (visit["status"], visit["paymentStatus"]) == ("COMPLETE", "PAID")
    [invoice] = (await account.get("/billing/invoices"))["invoices"]
    assert (invoice["status"], invoice["amount"], invoice["currency"]) == ("PAID", 899, "USD")
    await visitor.open(opened["url"])
    assert await visitor.heading() == "All done"
    await visitor.shoot("again")
    assert await stack.held_events() == []


async def test_a_declined_card_says_so_and_grants_nothing(stack: Stack, visitor: Visitor) -> None:
    account = await stack.register()
    opened = await begin(account, stack)
    await visitor.open(opened["url"])
    await visitor.type_card(DECLINES, email=account.email)
    assert "declined" in await visitor.alert()
    await visitor.shoot("declined")
    await stack.settled()
    assert await account.credits() == FREE_CREDITS
    assert not [one for one in (await account.get("/billing/invoices"))["invoices"] if one["status"] == "PAID"]
    await visitor.type_card(PAYS, email=account.email)
    assert visitor.is_back
    await has(account, FREE_CREDITS + MEDIUM_CREDITS)


async def test_a_card_that_asks_its_holder_completes(stack: Stack, visitor: Visitor) -> None:
    account = await stack.register()
    opened = await begin(account, stack)
    await visitor.open(opened["url"])
    await visitor.type_card(ASKS, email=account.email)
    assert await visitor.heading() == "Your bank asks"
    await visitor.shoot("bank")
    await stack.settled()
    assert await account.credits() == FREE_CREDITS
    await visitor.press("Refuse")
    await visitor.shoot("refused")
    assert await visitor.alert()
    await visitor.type_card(ASKS, email=account.email)
    await visitor.press("Confirm")
    assert visitor.is_back
    await has(account, FREE_CREDITS + MEDIUM_CREDITS)
