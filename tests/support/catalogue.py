"""A Stripe account that is set up: every plan and pack can be bought."""

from pm_api.core.platform import Platform
from pm_api.domains.billing import setup
from pm_api.integrations.stripe import StripeDoor, prices
from pm_api.webhooks.handlers import STRIPE


async def stock(platform: Platform) -> dict[str, str]:
    """Set the account behind the platform's door up, once; returns price ids by lookup key."""
    done = await setup.set_up(platform, STRIPE, dry_run=False)
    assert done.sync is not None
    assert done.sync.problems == []
    found = await prices.list_all(platform.part(StripeDoor))
    return {one.lookup_key: one.id for one in found.items if one.lookup_key is not None}
