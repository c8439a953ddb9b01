"""Shapes of contracts."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp
from pm_api.domains.ai_credits.book import MAX_AMOUNT
from pm_api.domains.billing.enums import ContractStatus
from pm_api.domains.billing.schemas.plans import PlanLimits
from pm_api.entitlements.enums import AccountType, Plan

Count = Annotated[int, Field(strict=True, ge=0, le=10**9)]
Bytes = Annotated[int, Field(strict=True, ge=0, le=10**18)]


class ContractLimits(ApiRequest):
    """Limits that differ from the plan's. Absent: the plan's own; null: unlimited."""

    max_users: Annotated[int, Field(strict=True, ge=1, le=10**9)] | None = Field(
        None, description="People, viewers included.", examples=[250]
    )
    max_storage: Bytes | None = Field(None, description="Bytes.", examples=[5497558138880])
    api_calls: Count | None = Field(None, description="Requests with API keys a month.", examples=[5000000])
    max_projects: Count | None = Field(None, description="Projects.", examples=[1000])
    max_api_keys: Count | None = Field(None, description="API keys.", examples=[500])
    max_file_size: Bytes | None = Field(None, description="Bytes of one file.", examples=[53687091200])


class ContractWrite(ApiRequest):
    """The whole contract. ENTERPRISE needs `maxStorage`, `maxApiKeys` and `maxFileSize` in its limits."""

    plan: Plan = Field(description="A plan that fits the account; not FREE.", examples=["ENTERPRISE"])
    limits: ContractLimits = Field(default_factory=ContractLimits, description="Where it differs from the plan.")
    credits: Annotated[int, Field(strict=True, ge=0, le=MAX_AMOUNT)] | None = Field(
        None, description="AI credits each month; null: what the plan brings.", examples=[20000]
    )
    price: Annotated[int, Field(strict=True, ge=0, le=10**12)] = Field(
        description="Minor units a month, invoiced outside of this service.", examples=[250000]
    )
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217.", examples=["USD"])
    starts_at: Timestamp = Field(description="When limits and credits begin.", examples=["2026-01-01T00:00:00Z"])
    ends_at: Timestamp = Field(
        description="When they end: a whole number of months later.", examples=["2028-01-01T00:00:00Z"]
    )


class ContractRead(ApiModel):
    """What was agreed upon with an account."""

    id: UUID = Field(description="The contract.")
    account_type: AccountType = Field(description="A user's, or a workspace's.", examples=["WORKSPACE"])
    account_id: UUID = Field(description="Whose it is.")
    plan: Plan = Field(description="The plan it is based on.", examples=["ENTERPRISE"])
    plan_version: int = Field(description="Version of the plan's terms it was made with.", examples=[1])
    limits: PlanLimits = Field(description="All limits in force.")
    credits: int = Field(description="AI credits each month.", examples=[20000])
    price: int = Field(description="Minor units a month.", examples=[250000])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    starts_at: Timestamp = Field(description="When limits and credits begin.")
    ends_at: Timestamp = Field(description="When they end.")
    status: ContractStatus = Field(description="Whether it has begun.", examples=["ACTIVE"])
    created_at: Timestamp = Field(description="When it was set first.")
    updated_at: Timestamp = Field(description="When it was changed last.")
    version: int = Field(description="For If-Match; goes on over the contracts of an account.", examples=[1])


class ContractAnswer(ApiModel):
    contract: ContractRead = Field(description="What was agreed upon with the account.")
