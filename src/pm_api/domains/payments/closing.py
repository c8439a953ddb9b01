"""Customers of accounts that end, and bills that were addressed to somebody who goes."""

import contextlib
from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.personal import hands_out, keeps_back
from pm_api.core.platform import Platform
from pm_api.domains.payments import customers
from pm_api.domains.payments.customers import Account
from pm_api.domains.payments.models.checkouts import CheckoutSession
from pm_api.domains.payments.models.customers import StripeCustomerRow
from pm_api.domains.payments.repository import customers as repository
from pm_api.integrations.stripe import StripeDoor, StripeObjectMissing
from pm_api.integrations.stripe import customers as stripe_customers

SYSTEM: Final = SystemScope("an account is closed")


async def delete_customers(platform: Platform, account: Account) -> None:
    """Delete an account's customer at Stripe, with all that Stripe knows of them. The row stays: Stripe may still
    speak of the id. Raises PaymentProviderUnavailable.
    """
    while True:
        async with platform.database.reading() as session:
            customer_id = await customers.known(session, *account)
        if customer_id is None:
            return
        with contextlib.suppress(StripeObjectMissing):  # deleted before, or by hand: what is wanted is so
            await stripe_customers.delete(platform.part(StripeDoor), customer_id)
        async with platform.database.transaction() as session:
            await customers.forget(session, platform, customer_id)


async def customer_ids(session: AsyncSession, account_ids: Collection[UUID]) -> list[str]:
    """All customers these accounts have ever had."""
    return await repository.all_of(session, SYSTEM, account_ids)


async def readdress(platform: Platform, email: str, going_on: Collection[Account]) -> None:
    """Bills of accounts that go on and bear this address go to an owner who is there. Raises
    PaymentProviderUnavailable.
    """
    if not going_on:
        return
    door = platform.part(StripeDoor)
    for found in (await stripe_customers.list_with_email(door, email)).items:
        async with platform.database.reading() as session:
            account = await customers.owner_of(session, found.id)
            person = None if account is None else await repository.person(session, account)
        if account in going_on and person is not None:
            name, address = person
            key = f"pm:readdress:{found.id}:{platform.randomness.uuid()}"
            await stripe_customers.update(door, found.id, name=name, email=address, key=key)


hands_out(CheckoutSession, "billing/checkouts.json", "What you set out to buy.", of="account_id")
keeps_back(StripeCustomerRow, "an id at Stripe, which says nothing of anybody")
