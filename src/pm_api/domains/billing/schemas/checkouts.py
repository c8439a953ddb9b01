"""Shapes of checkouts and of the portal."""

from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from pm_api.core.openapi import NULL
from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.billing.enums import BillingInterval
from pm_api.domains.billing.schemas.subscriptions import Interval
from pm_api.entitlements.enums import AccountType, Plan

ItemName = Annotated[Text, Field(min_length=1, max_length=64)]
Address = Annotated[Text, Field(min_length=1, max_length=2000)]
Key = Annotated[Text, Field(min_length=1, max_length=255)]
Code = Annotated[Text, Field(min_length=1, max_length=64)]
LocaleTag = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$", max_length=35)]

WORKSPACE = "The workspace it is bought for; absent: yourself."
SUCCESS = (
    "Where the buyer comes to afterwards. `{CHECKOUT_SESSION_ID}` in it becomes the session's id; without it, a "
    "parameter `checkoutSession` is added. Its origin must be allowed. Absent: the dashboard."
)
CANCEL = "Where the buyer comes to who goes back. Its origin must be allowed. Absent: the credits page."
LOCALE = "Language of the page; absent, or unknown to Stripe: the browser's."
KEY = "The Idempotency-Key, for who cannot send the header."


class CheckoutItem(StrEnum):
    PACK = "PACK"
    BUNDLE = "BUNDLE"
    PLAN = "PLAN"


class CheckoutStatus(StrEnum):
    """ABANDONED: its page was never opened."""

    OPEN = "OPEN"
    COMPLETE = "COMPLETE"
    EXPIRED = "EXPIRED"
    ABANDONED = "ABANDONED"


class PaymentStatus(StrEnum):
    UNPAID = "UNPAID"
    PAID = "PAID"
    NO_PAYMENT_REQUIRED = "NO_PAYMENT_REQUIRED"


class PurchaseCreate(ApiRequest):
    """A pack or a bundle to buy: exactly one of the two."""

    pack: ItemName | None = Field(None, description="A pack by its name.", examples=["MEDIUM"])
    bundle: ItemName | None = Field(None, description="A bundle by its name.", examples=[NULL])
    workspace_id: UUID | None = Field(None, description=WORKSPACE)
    success_url: Address | None = Field(None, description=SUCCESS, examples=[NULL])
    cancel_url: Address | None = Field(None, description=CANCEL, examples=[NULL])
    locale: LocaleTag | None = Field(None, description=LOCALE, examples=["en"])
    promotion_code: Code | None = Field(None, description="A code for a discount.", examples=[NULL])
    idempotency_key: Key | None = Field(None, description=KEY, examples=[NULL])

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.pack is None) == (self.bundle is None):
            raise ValueError("send exactly one of pack and bundle")
        return self


class CheckoutCreate(ApiRequest):
    """What to buy: exactly one of pack, bundle and plan."""

    pack: ItemName | None = Field(None, description="A pack of credits by its name.", examples=["MEDIUM"])
    bundle: ItemName | None = Field(None, description="A bundle by its name.", examples=[NULL])
    plan: Plan | None = Field(None, description="A plan to subscribe to.", examples=[NULL])
    billing_interval: Interval | None = Field(
        None,
        description="With a plan: how often it is billed, MONTHLY if absent; `month` and `year` are understood too.",
        examples=[NULL],
    )
    workspace_id: UUID | None = Field(None, description=WORKSPACE)
    success_url: Address | None = Field(None, description=SUCCESS, examples=[NULL])
    cancel_url: Address | None = Field(None, description=CANCEL, examples=[NULL])
    locale: LocaleTag | None = Field(None, description=LOCALE, examples=["en"])
    promotion_code: Code | None = Field(None, description="A code for a discount.", examples=[NULL])
    idempotency_key: Key | None = Field(None, description=KEY, examples=[NULL])

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(one is not None for one in (self.pack, self.bundle, self.plan)) != 1:
            raise ValueError("send exactly one of pack, bundle and plan")
        if self.plan is None and self.billing_interval is not None:
            raise ValueError("billingInterval goes with a plan")
        return self


class CheckoutOpened(ApiModel):
    """A page where it can be paid."""

    session_id: str = Field(
        description="Stripe's id of the session, as it comes back in the success URL.", examples=["cs_test_a1"]
    )
    url: str | None = Field(
        description="Where to send the buyer; null when the page is over already.",
        examples=["https://checkout.stripe.com/c/pay/cs_test_a1"],
    )
    expires_at: Timestamp | None = Field(description="Until when it can be paid there.")


class CheckoutRead(ApiModel):
    """A checkout and how far it has come."""

    id: UUID = Field(description="Our id.")
    session_id: str | None = Field(description="Stripe's id of the session; null until its page is opened.")
    status: CheckoutStatus = Field(
        description="OPEN until it was gone through or ran out. ABANDONED: its page was never opened.",
        examples=["COMPLETE"],
    )
    payment_status: PaymentStatus = Field(
        description="Whether the money is there. A COMPLETE checkout may wait for it; a trial needs none.",
        examples=["PAID"],
    )
    account_type: AccountType = Field(description="Whom it is for.", examples=["USER"])
    account_id: UUID = Field(description="The user or the workspace.")
    item: CheckoutItem = Field(description="What kind of thing is bought.", examples=["PACK"])
    name: str = Field(description="The pack, bundle or plan.", examples=["MEDIUM"])
    billing_interval: BillingInterval | None = Field(description="Of a plan.", examples=[NULL])
    amount: int = Field(description="Its price when it was opened, in minor units.", examples=[899])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    amount_paid: int | None = Field(
        description="What was paid, after discounts and with tax; null until then.", examples=[899]
    )
    credits_granted: int | None = Field(
        description="Credits that a pack or bundle brought; null until they are there.", examples=[550]
    )
    created_at: Timestamp = Field(description="When it was opened.")
    expires_at: Timestamp | None = Field(description="Until when it can be paid.")
    completed_at: Timestamp | None = Field(description="When it ended, either way.")
    version: int = Field(description="For `If-None-Match`.", examples=[2])


class CheckoutAnswer(ApiModel):
    checkout_session: CheckoutRead = Field(description="The checkout as far as Stripe has told of it.")


class PortalCreate(ApiRequest):
    """Whose portal, and where it leads back to."""

    workspace_id: UUID | None = Field(None, description="The workspace whose portal it is; absent: your own.")
    return_url: Address | None = Field(
        None, description="Where the portal leads back to. Its origin must be allowed.", examples=[NULL]
    )


class PortalLink(ApiModel):
    url: str = Field(
        description="Lets whoever has it in, without a password and for a few minutes.",
        examples=["https://billing.stripe.com/p/session/test_a1"],
    )
