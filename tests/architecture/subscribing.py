"""Subscriptions for scenes: begun and paid for at the sandbox, as somebody in a browser would."""

from typing import Any
from uuid import UUID, uuid4

import httpx

from pm_api.domains.billing import pictures, subscriptions
from pm_api.domains.billing.accounts import Account
from pm_api.domains.payments import customers
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import StripeDoor, payment_methods, prices
from pm_api.integrations.stripe import subscriptions as at_stripe
from tests.architecture.world import Scene
from tests.support.catalogue import stock

MANAGERS = ("ADMIN", "OWNER")
PLANS = {AccountType.USER: "INDIVIDUAL_PRO", AccountType.WORKSPACE: "TEAM_STANDARD"}


def account_of(scene: Scene, *, own: bool) -> Account | None:
    """Whose subscription the scene is about; None when the caller gets nowhere near it."""
    if own:
        return (AccountType.USER, UUID(str(scene.caller.id))) if scene.caller is not None else None
    return (AccountType.WORKSPACE, UUID(str(scene.place.workspace_id))) if scene.column in MANAGERS else None


async def without_subscription(scene: Scene, account: Account | None) -> None:
    """Plans are on sale, and the account has none."""
    if account is None:
        return
    platform, door = scene.platform, scene.platform.part(StripeDoor)
    async with platform.database.reading() as session:
        row = await subscriptions.live_of(session, account)
    if row is not None:
        await at_stripe.cancel_now(door, row.stripe_subscription_id, key=uuid4().hex)
        await _hear(scene, row.stripe_subscription_id)
    await _price(scene, account)


async def subscribed(scene: Scene, account: Account | None, *, ending: bool = False) -> None:
    """The account has a subscription that is active; `ending`: and it was canceled."""
    if account is None:
        return
    await without_subscription(scene, account)
    platform, door = scene.platform, scene.platform.part(StripeDoor)
    customer_id = await customers.ensure(platform, *account)
    card = await payment_methods.attach(door, "pm_card_visa", customer_id, key=uuid4().hex)
    made = await at_stripe.create(
        door,
        customer_id=customer_id,
        price_id=await _price(scene, account),
        metadata={},
        payment_method_id=card.id,
        key=uuid4().hex,
    )
    async with httpx.AsyncClient(
        base_url=platform.settings.stripe.api_base, trust_env=False, verify=False
    ) as browser:
        paid = await browser.put(f"/_sandbox/elements/{made.client_secret}", json={"paymentMethod": card.id})
    assert paid.json()["error"] is None, paid.text
    if ending:
        await at_stripe.cancel_at_period_end(door, made.id, key=uuid4().hex)
    await _hear(scene, made.id)


def wanted(scene: Scene, *, own: bool, **body: Any) -> dict[str, Any]:
    return body if own else {**body, "workspaceId": str(scene.place.workspace_id)}


async def _hear(scene: Scene, stripe_id: str) -> None:
    picture = await pictures.fetch_by_subscription(scene.platform.part(StripeDoor), stripe_id)
    async with scene.platform.database.transaction() as session:
        await subscriptions.apply_picture(session, scene.platform, picture)


async def _price(scene: Scene, account: Account) -> str:
    wanted_key = f"{PLANS[account[0]].lower()}_monthly"
    found = {one.lookup_key: one.id for one in (await prices.list_all(scene.platform.part(StripeDoor))).items}
    if wanted_key not in found:
        return (await stock(scene.platform))[wanted_key]
    return found[wanted_key]
