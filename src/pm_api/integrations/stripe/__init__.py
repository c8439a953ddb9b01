"""The door to Stripe: the official SDK with a pinned API version, our timeouts, our errors, our nouns.

One module a noun; each function takes the door, and every one that writes takes the Idempotency-Key of our own row.
Nothing here opens a database session, and nothing that has one open may call here.
"""

from pm_api.integrations.stripe.checkouts import CheckoutVisit, NamedItem, PricedItem, StripeCheckout
from pm_api.integrations.stripe.customers import StripeCustomer
from pm_api.integrations.stripe.door import (
    API_VERSION,
    CardDeclined,
    PaymentProviderUnavailable,
    StripeDoor,
    StripeObjectMissing,
    StripeRefused,
)
from pm_api.integrations.stripe.events import InvalidWebhook, StripeEvent, verify_event
from pm_api.integrations.stripe.invoices import StripeInvoice, StripeInvoiceLine, StripeInvoicePayment
from pm_api.integrations.stripe.payment_methods import StripePaymentMethod, StripeSetupIntent
from pm_api.integrations.stripe.payments import StripeCharge, StripePayment
from pm_api.integrations.stripe.portal import StripePortalConfiguration
from pm_api.integrations.stripe.prices import StripePrice, StripeProduct
from pm_api.integrations.stripe.promotions import AmountOff, PercentOff, StripeCoupon, StripePromotionCode
from pm_api.integrations.stripe.refunds import StripeDispute, StripeRefund
from pm_api.integrations.stripe.subscriptions import StripeDiscount, StripeSubscription
from pm_api.integrations.stripe.values import StripeList
from pm_api.integrations.stripe.webhook_endpoints import StripeWebhookEndpoint

__all__ = [
    "API_VERSION",
    "AmountOff",
    "CardDeclined",
    "CheckoutVisit",
    "InvalidWebhook",
    "NamedItem",
    "PaymentProviderUnavailable",
    "PercentOff",
    "PricedItem",
    "StripeCharge",
    "StripeCheckout",
    "StripeCoupon",
    "StripeCustomer",
    "StripeDiscount",
    "StripeDispute",
    "StripeDoor",
    "StripeEvent",
    "StripeInvoice",
    "StripeInvoiceLine",
    "StripeInvoicePayment",
    "StripeList",
    "StripeObjectMissing",
    "StripePayment",
    "StripePaymentMethod",
    "StripePortalConfiguration",
    "StripePrice",
    "StripeProduct",
    "StripePromotionCode",
    "StripeRefund",
    "StripeRefused",
    "StripeSetupIntent",
    "StripeSubscription",
    "StripeWebhookEndpoint",
    "verify_event",
]
