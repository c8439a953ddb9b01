"""Shapes of payment methods. A card's number never comes here: the browser gives it to Stripe alone."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp
from pm_api.entitlements.enums import AccountType

ExpiryMonth = Annotated[int, Field(strict=True, ge=1, le=12)]
ExpiryYear = Annotated[int, Field(strict=True, ge=2000, le=2100)]


class PaymentMethodRead(ApiModel):
    """What may be shown of a payment method."""

    id: UUID = Field(description="Id.")
    stripe_payment_method_id: str = Field(description="Its id at Stripe.", examples=["pm_1PqRsT2eZvKYlo2C"])
    account_type: AccountType = Field(description="Whose it is: a user's, or a workspace's.")
    account_id: UUID = Field(description="The user or the workspace.")
    type: str = Field(description="Stripe's word for what it is.", examples=["card"])
    is_default: bool = Field(description="Whether invoices and top-ups are paid with it.", examples=[True])
    card_brand: str | None = Field(description="Of cards.", examples=["visa"])
    card_last4: str | None = Field(description="Of cards: the last four digits.", examples=["4242"])
    card_exp_month: int | None = Field(description="Of cards.", examples=[12])
    card_exp_year: int | None = Field(description="Of cards.", examples=[2030])
    created_at: Timestamp = Field(description="When it was added.")
    updated_at: Timestamp = Field(description="When it changed last.")
    version: int = Field(description="Counts changes; the ETag.", examples=[1])


class PaymentMethodAnswer(ApiModel):
    payment_method: PaymentMethodRead = Field(description="The payment method.")


class PaymentMethodsAnswer(ApiModel):
    payment_methods: list[PaymentMethodRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")


class PaymentMethodAttach(ApiRequest):
    """A payment method that a setup intent of the same account has taken."""

    payment_method_id: str = Field(
        pattern=r"^pm_[A-Za-z0-9_]{1,200}$",
        description="Its id at Stripe, from the setup intent that the browser confirmed.",
        examples=["pm_1PqRsT2eZvKYlo2C"],
    )
    workspace_id: UUID | None = Field(None, description="The workspace it is for; absent: yourself.")
    set_default: Annotated[bool, Field(strict=True)] = Field(
        False,
        description="Whether invoices and top-ups are paid with it from now on. The first one is the default anyway.",
        examples=[True],
    )


class PaymentMethodUpdate(ApiRequest):
    """What is sent is changed. What is not sent has no default: the values here are never looked at."""

    is_default: Literal[True] = Field(
        True,
        description="Only `true`: to have another default, make that one the default.",
        examples=[True],
    )
    exp_month: ExpiryMonth = Field(
        default_factory=lambda: 1, description="Of a card whose date was renewed.", examples=[11]
    )
    exp_year: ExpiryYear = Field(
        default_factory=lambda: 2000, description="Of a card whose date was renewed.", examples=[2031]
    )


class SetupIntentCreate(ApiRequest):
    """For whom a payment method is to be taken."""

    workspace_id: UUID | None = Field(None, description="The workspace it is for; absent: yourself.")


class SetupIntentRead(ApiModel):
    """What the browser needs to ask for a payment method; the number goes from there to Stripe."""

    id: str = Field(description="Its id at Stripe.", examples=["seti_1PqRsT2eZvKYlo2C"])
    client_secret: str = Field(
        description="For Stripe's library in the browser, and for nobody else.",
        examples=["seti_1PqRsT2eZvKYlo2C_secret_x"],
    )
    status: str = Field(description="Stripe's word for where it stands.", examples=["requires_payment_method"])


class SetupIntentAnswer(ApiModel):
    setup_intent: SetupIntentRead = Field(description="The setup intent.")
