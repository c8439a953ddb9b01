"""Shapes of the lead route."""

from uuid import UUID

from pydantic import ConfigDict, Field

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.ai_credits.schemas.ledger import BalanceAfter
from pm_api.identity.schemas.people import Email


class LeadCreate(ApiRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [{"source": "landing-page"}]})

    email: Email | None = Field(None, description="Where to write to, if the visitor says so.")
    source: Text = Field("", max_length=100, description="Where they came from.", examples=["landing-page"])


class LeadRead(ApiModel):
    """A visitor who tries the product without an account."""

    id: UUID = Field(description="The lead's id, and that of its credits' account.")
    expires_at: Timestamp = Field(description="When its credits and its token run out.")


class LeadAnswer(ApiModel):
    lead: LeadRead = Field(description="The lead that was made.")
    lead_token: str = Field(
        description="For `Authorization: Bearer` on credit routes, and `leadToken` when registering."
    )
    balance: BalanceAfter = Field(description="What there is to try with.")
