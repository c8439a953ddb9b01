"""Shapes of promotion codes."""

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp


class PromotionRead(ApiModel):
    """What a promotion code gives: exactly one of `percentOff` and `amountOff`."""

    code: str = Field(description="The code as it is written.", examples=["SPRING25"])
    name: str | None = Field(description="What buyers see on their invoice.", examples=["Spring"])
    percent_off: float | None = Field(description="So much of a hundred.", examples=[25.0])
    amount_off: int | None = Field(description="So many minor units.", examples=[500])
    currency: str | None = Field(description="ISO 4217, of `amountOff`.", examples=["USD"])
    duration: str = Field(description="once, forever, or repeating for `durationMonths`.", examples=["once"])
    duration_months: int | None = Field(description="Of `repeating`.", examples=[3])
    first_time_only: bool = Field(description="Whether it is for a first purchase alone.", examples=[False])
    minimum_amount: int | None = Field(description="Minor units of the smallest purchase.", examples=[1000])
    minimum_amount_currency: str | None = Field(description="ISO 4217.", examples=["USD"])
    expires_at: Timestamp | None = Field(description="When it ends; null: not by itself.")


class PromotionAnswer(ApiModel):
    promotion_code: PromotionRead = Field(description="What the code gives.")
