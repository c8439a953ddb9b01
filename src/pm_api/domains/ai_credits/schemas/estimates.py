"""Shapes of an estimate."""

from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp
from pm_api.domains.ai_credits.enums import CapWindow, LotKind, Service
from pm_api.domains.ai_credits.schemas.ledger import Quantity

MAX_ITEMS: Final = 100


class EstimateItem(ApiRequest):
    service: Service = Field(description="What is to be done.")
    quantity: Quantity | None = Field(None, description="How many units; 1 when absent.")


class EstimateRequest(ApiRequest):
    """Either `items`, or one `service` with its `quantity`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"service": "TASK_GENERATION", "quantity": 2},
                {"items": [{"service": "TASK_GENERATION", "quantity": 2}, {"service": "CHAT_ASSISTANT"}]},
            ]
        }
    )

    items: Annotated[list[EstimateItem], Field(min_length=1, max_length=MAX_ITEMS)] | None = Field(
        None, description="Several, in the order in which they would be done."
    )
    service: Service | None = Field(None, description="What is to be done, when it is one thing.")
    quantity: Quantity | None = Field(None, description="How many units of it; 1 when absent.")
    workspace_id: UUID | None = Field(None, description="The pool would pay; absent: your own wallet.")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.items is None) == (self.service is None):
            raise ValueError("send exactly one of items and service")
        if self.quantity is not None and self.service is None:
            raise ValueError("quantity goes with service")
        return self


class EstimatedItem(ApiModel):
    """What one item would cost."""

    service: Service = Field(description="What is to be done.", examples=["TASK_GENERATION"])
    quantity: int = Field(description="How many units.", examples=[2])
    unit_cost: int = Field(description="Credits a unit.", examples=[3])
    cost: int = Field(description="Credits in all.", examples=[6])
    price_version: int = Field(description="Version of the price rule.", examples=[1])


class EstimatedLot(ApiModel):
    """A lot that would pay, and how much."""

    lot_id: UUID = Field(description="Id of the lot.")
    kind: LotKind = Field(description="Where its credits came from.")
    amount: int = Field(description="Credits it would pay.", examples=[6])
    expires_at: Timestamp | None = Field(description="When it runs out; null for never.")


class BindingCap(ApiModel):
    """A limit of the workspace that would refuse this."""

    subject: str = Field(description="The member, role or service it is for.", examples=["role:MEMBER"])
    window: CapWindow = Field(description="What it is counted over.")
    limit: int = Field(description="Credits in each window.", examples=[50])
    used: int = Field(description="How many of them would be used by then.", examples=[49])
    resets_at: Timestamp = Field(description="When it opens again.")


class Estimate(ApiModel):
    """Nothing was written, and nothing is promised: somebody else may spend meanwhile."""

    items: list[EstimatedItem] = Field(description="In the order of the request.")
    total: int = Field(description="Credits for all of them.", examples=[6])
    available: int = Field(description="Credits that may be spent now, without held ones.", examples=[10])
    enough: bool = Field(description="Whether all of it would go through: credits and caps.")
    shortfall: int = Field(description="How many credits are missing.", examples=[0])
    lots: list[EstimatedLot] = Field(description="Who would pay, in the order in which lots are used.")
    cap: BindingCap | None = Field(description="The limit that would refuse; null for none.")


class EstimateAnswer(ApiModel):
    estimate: Estimate = Field(description="What it would cost, and whether it would go through.")
