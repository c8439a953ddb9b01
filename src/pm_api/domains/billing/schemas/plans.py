"""Shapes of plans."""

from pydantic import Field

from pm_api.core.schema import ApiModel
from pm_api.entitlements.enums import AccountType, Plan, Support


class PlanLimits(ApiModel):
    """What a plan holds. Null is unlimited, or left to the contract."""

    max_users: int | None = Field(
        description="People in its workspaces, each once; viewers are people too.", examples=[10]
    )
    max_storage: int | None = Field(description="Bytes.", examples=[107374182400])
    api_calls: int | None = Field(description="Requests with API keys a month.", examples=[250000])
    max_projects: int | None = Field(description="Projects.", examples=[None])
    max_api_keys: int | None = Field(description="API keys.", examples=[50])
    max_file_size: int | None = Field(description="Bytes of one file.", examples=[5368709120])


class PlanRead(PlanLimits):
    """A plan on offer."""

    plan: Plan = Field(description="Its name for programs.", examples=["TEAM_STANDARD"])
    version: int = Field(description="Version of these terms.", examples=[1])
    name: str = Field(description="Its name for people.", examples=["Team Standard"])
    account_type: AccountType | None = Field(
        description="Who may have it: a user, a workspace, or (null) both.", examples=["WORKSPACE"]
    )
    price: int | None = Field(description="Minor units a month; null: by contract.", examples=[9999])
    yearly_price: int | None = Field(description="Minor units a year; mostly ten months' price.", examples=[99990])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    ai_credits: int = Field(description="AI credits it brings each month.", examples=[500])
    support: Support | None = Field(description="How we help; null: by the documentation.", examples=["PRIORITY"])
    features: list[str] = Field(description="What to show people.", examples=[["Up to 10 users", "100 GB storage"]])
    by_contract: list[str] = Field(description="Fields that each contract sets.", examples=[[]])


class Plans(ApiModel):
    plans: list[PlanRead] = Field(description="Smallest first.")
