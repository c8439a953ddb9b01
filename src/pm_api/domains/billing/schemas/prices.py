"""Shapes of the synchronisation of prices."""

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp


class SyncPricesRequest(ApiRequest):
    """Compare Stripe's prices with our catalogue, and change it if that is wanted."""

    dry_run: bool = Field(True, strict=True, description="Only say what would change.", examples=[True])


class CatalogueDifference(ApiModel):
    """One figure that Stripe has otherwise than we do. Stripe's is the one that counts."""

    item: str = Field(description="What is sold.", examples=["PLAN TEAM_STANDARD MONTHLY"])
    field: str = Field(
        description="onSale, price, yearlyPrice, currency, credits, bonus, lots or validUntil.", examples=["credits"]
    )
    ours: str | None = Field(description="What we have; null: nothing.", examples=["500"])
    stripe: str | None = Field(description="What Stripe has; null: nothing.", examples=["600"])
    price_id: str | None = Field(description="The price at Stripe that says so.", examples=["price_1"])
    says: str = Field(
        description="The same in one sentence: how it is, and after a run that was carried out, how it was.",
        examples=["PLAN TEAM_STANDARD: credits is 500 here and 600 at Stripe."],
    )


class CatalogueProblem(ApiModel):
    """Something at Stripe that cannot be read, or can be read in two ways. Nothing is guessed: it changes nothing."""

    item: str | None = Field(description="What it is about, if that can be told.", examples=["PACK MEDIUM"])
    price_ids: list[str] = Field(description="The prices it is about.", examples=[["price_1"]])
    is_foreign: bool = Field(
        description="It concerns nothing that is sold here: a product somebody else keeps at the same account.",
        examples=[False],
    )
    says: str = Field(
        description="What is wrong.", examples=["includedCredits is no whole number from 0 to 1000000000: 'many'"]
    )


class PriceSync(ApiModel):
    """What a comparison with Stripe found, and whether it was carried out."""

    dry_run: bool = Field(description="Nothing was changed.", examples=[True])
    looked_at: Timestamp = Field(description="When Stripe was asked.")
    prices: int = Field(description="How many prices Stripe has, active or not.", examples=[9])
    differences: list[CatalogueDifference] = Field(description="What is, or would be, changed; by item.")
    problems: list[CatalogueProblem] = Field(description="What a person has to mend at Stripe.")


class PriceSyncAnswer(ApiModel):
    sync: PriceSync = Field(description="What was found.")
