"""Customers: one for each account of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import stripe
from stripe.params import CustomerCreateParams, CustomerUpdateParams

from pm_api.integrations.stripe.door import StripeDoor, calling, keyed
from pm_api.integrations.stripe.values import (
    LIST_LIMIT,
    StripeList,
    everything,
    id_of,
    moment_of,
    page_size,
    texts,
    upper_of,
)


@dataclass(frozen=True, slots=True)
class StripeCustomer:
    """A customer as Stripe has it now. Of a deleted one only the id is left."""

    id: str
    is_deleted: bool
    name: str | None
    email: str | None
    currency: str | None
    balance: int | None
    default_payment_method_id: str | None
    metadata: Mapping[str, str]
    created_at: datetime | None


async def create(
    door: StripeDoor, *, name: str | None, email: str | None, metadata: Mapping[str, str], key: str
) -> StripeCustomer:
    params: CustomerCreateParams = {"metadata": dict(metadata)}
    if name:
        params["name"] = name
    if email:
        params["email"] = email
    async with calling("customer"):
        return read_customer(await door.client.v1.customers.create_async(params, keyed(key)))


async def retrieve(door: StripeDoor, customer_id: str) -> StripeCustomer:
    """Deleted customers are found too, and marked so."""
    async with calling(customer_id):
        return read_customer(await door.client.v1.customers.retrieve_async(customer_id))


async def delete(door: StripeDoor, customer_id: str) -> None:
    """For good, with payment methods and what is left of subscriptions; invoices and payments stay at Stripe.

    No key: a DELETE has none at Stripe, and doing it again changes nothing. https://docs.stripe.com/api/customers/delete
    """
    async with calling(customer_id):
        await door.client.v1.customers.delete_async(customer_id)


async def list_with_email(door: StripeDoor, email: str, *, limit: int = LIST_LIMIT) -> StripeList[StripeCustomer]:
    """Customers with this address, newest first: to find one again whose creation was not heard of."""
    async with calling("customers"):
        first = await door.client.v1.customers.list_async({"email": email, "limit": page_size(limit)})
        return await everything(first, read_customer, limit)


async def update(
    door: StripeDoor, customer_id: str, *, name: str | None, email: str | None, key: str
) -> StripeCustomer:
    """What invoices are addressed to; None leaves it as it is."""
    params: CustomerUpdateParams = {}
    if name:
        params["name"] = name
    if email:
        params["email"] = email
    async with calling(customer_id):
        return read_customer(await door.client.v1.customers.update_async(customer_id, params, keyed(key)))


async def set_default_payment_method(
    door: StripeDoor, customer_id: str, payment_method_id: str, *, key: str
) -> StripeCustomer:
    """What invoices are paid with. The payment method must be attached to the customer."""
    params: CustomerUpdateParams = {"invoice_settings": {"default_payment_method": payment_method_id}}
    async with calling(customer_id):
        return read_customer(await door.client.v1.customers.update_async(customer_id, params, keyed(key)))


def read_customer(found: stripe.Customer) -> StripeCustomer:
    if "deleted" in found and found.deleted:
        return StripeCustomer(
            id=found.id,
            is_deleted=True,
            name=None,
            email=None,
            currency=None,
            balance=None,
            default_payment_method_id=None,
            metadata={},
            created_at=None,
        )
    settings = found.invoice_settings
    return StripeCustomer(
        id=found.id,
        is_deleted=False,
        name=found.name,
        email=found.email,
        currency=upper_of(found.currency),
        balance=found.balance,
        default_payment_method_id=None if settings is None else id_of(settings.default_payment_method),
        metadata=texts(found.metadata),
        created_at=moment_of(found.created),
    )
