"""Shapes of many spends in one request."""

from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import ConfigDict, Field

from pm_api.core.schema import ApiModel, ApiRequest
from pm_api.domains.ai_credits.schemas.ledger import BalanceAfter, CreditEntryRead, WorkRequest

MAX_ITEMS: Final = 500


class SpendItem(WorkRequest):
    """One spend, as of `POST /api/credits/spend`, with a key of its own."""

    idempotency_key: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[ -~]+$")] = Field(
        description="One text per intention, the same for its retries.", examples=["import-7-line-12"]
    )


class SpendBatchRequest(ApiRequest):
    """Every item stands alone: one that is refused changes nothing for the others."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {"service": "TASK_GENERATION", "quantity": 1, "idempotencyKey": "import-7-line-12"},
                        {"amount": 3, "description": "Line 13", "idempotencyKey": "import-7-line-13"},
                    ]
                }
            ]
        }
    )

    items: Annotated[list[SpendItem], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        description="In the order in which they are tried."
    )
    workspace_id: UUID | None = Field(None, description="The pool pays for all; absent: your own wallet pays.")


class SpendItemResult(ApiModel):
    """How one item ended."""

    index: int = Field(description="Its place among the items, from 0.", examples=[0])
    status: int = Field(description="What it would have been answered alone.", examples=[200, 402])
    entry: CreditEntryRead | None = Field(None, description="The line it wrote.")
    balance: BalanceAfter | None = Field(None, description="The figures right after it.")
    problem: dict[str, Any] | None = Field(
        None, description="Why it was refused: a problem as of `application/problem+json`."
    )
    replayed: bool = Field(description="Whether its key was used before: this is the first answer again.")


class SpendBatchAnswer(ApiModel):
    results: list[SpendItemResult] = Field(description="One an item, in the same order.")
