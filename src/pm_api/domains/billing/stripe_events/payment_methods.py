"""Customers and what they pay with: added, changed, renewed by the bank, taken away."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts, payment_methods
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.stripe_events.handling import EventNotUnderstood, Handler
from pm_api.domains.billing.wallets import (
    CustomerPicture,
    DetachedPicture,
    fetch_by_customer,
    fetch_by_method,
    fetch_by_setup_intent,
)
from pm_api.domains.payments import customers


async def apply_wallet(
    session: AsyncSession, platform: Platform, found: CustomerPicture | DetachedPicture | None
) -> str:
    """Bring the account's payment methods up to date. Raises EventNotUnderstood for a customer of nobody's."""
    if found is None:
        return "ignored: it was made for no customer"
    if isinstance(found, DetachedPicture):
        return await payment_methods.mirror_detached(session, platform, found)
    account = await _owner(session, found)
    try:
        await accounts.lock(session, account, gone_too=True)
    except NotFound:
        raise EventNotUnderstood(f"there is no {account[0].lower()} {account[1]}") from None
    if found.customer.is_deleted:
        await customers.forget(session, platform, found.customer.id)
    return await payment_methods.mirror_customer(session, platform, account, found)


async def _owner(session: AsyncSession, picture: CustomerPicture) -> Account:
    customer = picture.customer
    account = await customers.owner_of(session, customer.id) or accounts.from_metadata(dict(customer.metadata))
    if account is None:
        raise EventNotUnderstood(f"the customer {customer.id} belongs to no account of ours")
    return account


_OF_METHOD: Final = Handler(fetch_by_method, apply_wallet)
_OF_CUSTOMER: Final = Handler(fetch_by_customer, apply_wallet)
_OF_SETUP: Final = Handler(fetch_by_setup_intent, apply_wallet)

HANDLERS: Final = {
    "payment_method.attached": _OF_METHOD,
    "payment_method.detached": _OF_METHOD,
    "payment_method.updated": _OF_METHOD,
    "payment_method.automatically_updated": _OF_METHOD,
    "customer.updated": _OF_CUSTOMER,
    "customer.deleted": _OF_CUSTOMER,
    "setup_intent.succeeded": _OF_SETUP,
}
