"""A deleted workspace keeps its credits while it can be restored, and nothing afterwards."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from pm_api.entitlements.enums import AccountType
from pm_api.integrations.stripe import customers as stripe_customers
from tests.domains.account.leavers import sweep
from tests.domains.billing.subscribing import Shop, open_shop

CLOSE = "account.close_workspaces"


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        yield opened


async def test_what_a_deleted_workspace_had_ends_with_its_thirty_days(shop: Shop) -> None:
    platform = shop.till.platform
    owner, team = await shop.team()
    await shop.active(owner, team)
    answer = await shop.send(owner, "POST", "/api/credits/holds", amount=3, workspaceId=team)
    assert answer.status_code == 201, answer.text
    await shop.done(owner, "POST", "/api/webhook-endpoints", 201, url="https://example.com/", workspaceId=team)
    before = await shop.credits(team)
    assert before > 0
    [(customer_id,)] = await shop.rows("SELECT stripe_customer_id FROM stripe_customers")
    assert (await owner.client.delete(f"/api/workspaces/{team}")).status_code == 204
    await sweep(platform, CLOSE)
    assert await shop.credits(team) == before, "it can be restored"
    assert await shop.rows("SELECT is_enabled FROM webhook_endpoints") == [(True,)]
    assert not (await stripe_customers.retrieve(shop.door, customer_id)).is_deleted

    await shop.till.stripe.fail(status=503, times=1000, pathPrefix="/v1/")
    await shop.move(days=30, minutes=1)
    await sweep(platform, CLOSE)
    assert await shop.rows("SELECT id FROM workspaces WHERE closed_at IS NOT NULL") == [], (
        "while Stripe is away it waits"
    )
    await shop.till.stripe.heal()
    for _ in range(2):
        await sweep(platform, CLOSE)
    assert await shop.rows("SELECT id FROM workspaces WHERE closed_at IS NOT NULL") == [(UUID(team),)]
    assert await shop.installation.credits(AccountType.WORKSPACE, UUID(team)) == 0
    assert await shop.rows("SELECT held, open_holds FROM credit_accounts WHERE id = :id", id=UUID(team)) == [(0, 0)]
    assert await shop.rows("SELECT id FROM subscriptions WHERE status <> 'CANCELED'") == []
    assert (await stripe_customers.retrieve(shop.door, customer_id)).is_deleted
    told = await shop.rows("SELECT is_enabled, deleted_at IS NULL, length(sealed_secret) FROM webhook_endpoints")
    assert told == [(False, False, 0)]
    refused = await owner.client.post(f"/api/workspaces/{team}/restore")
    assert (refused.status_code, refused.json()["code"]) == (410, "restore_expired")
