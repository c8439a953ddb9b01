"""Every parameter that the sandbox takes is one that the pinned API has: the SDK's types are the witness."""

import pytest
from stripe import params
from stripe.params import billing_portal
from stripe.params.checkout import SessionCreateParams

from pm_api.sandbox.stripe.resources import (
    checkout,
    coupons,
    customers,
    payment_intents,
    payment_methods,
    portal,
    setup_intents,
    subscriptions,
)


@pytest.mark.parametrize(
    ("taken", "known"),
    [
        (checkout.FIELDS, SessionCreateParams),
        (coupons.CODE_FIELDS, params.PromotionCodeCreateParams),
        (coupons.COUPON_FIELDS, params.CouponCreateParams),
        (customers.CREATE_FIELDS, params.CustomerCreateParams),
        (customers.FIELDS, params.CustomerUpdateParams),
        (payment_intents.CONFIRM_FIELDS, params.PaymentIntentConfirmParams),
        (payment_intents.CREATE_FIELDS, params.PaymentIntentCreateParams),
        (payment_intents.UPDATE_FIELDS, params.PaymentIntentUpdateParams),
        (payment_methods.CREATE_FIELDS, params.PaymentMethodCreateParams),
        (payment_methods.UPDATE_FIELDS, params.PaymentMethodUpdateParams),
        (portal.FIELDS, billing_portal.ConfigurationCreateParams),
        (setup_intents.CONFIRM_FIELDS, params.SetupIntentConfirmParams),
        (setup_intents.CREATE_FIELDS, params.SetupIntentCreateParams),
        (subscriptions.CREATE_FIELDS, params.SubscriptionCreateParams),
        (subscriptions.UPDATE_FIELDS, params.SubscriptionUpdateParams),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_the_sandbox_takes_no_parameter_that_stripe_would_refuse(taken: set[str], known: type) -> None:
    assert taken - set(known.__annotations__) == set()
