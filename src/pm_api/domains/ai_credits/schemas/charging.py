"""Shapes of charged work, and of the example routes that show it."""

from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from pm_api.core.schema import ApiModel, ApiRequest, Text
from pm_api.domains.ai_credits.enums import Service
from pm_api.domains.ai_credits.schemas.ledger import BalanceAfter

EXAMPLE_TEXT = "Plan the launch of our new site"


class ChargedUsage(ApiModel):
    """What a piece of work cost: every answer of a route that charges has this."""

    credits_used: int = Field(description="Credits taken for it.", examples=[3])
    service: Service = Field(description="Whose price it was.")
    balance: BalanceAfter = Field(description="The figures right after it.")
    hold_id: UUID = Field(description="The hold it was paid from.")
    entry_id: UUID | None = Field(description="The line in the book; null when nothing was used.")
    usage_log_id: UUID = Field(description="Id of its usage record: quote it when you ask for a refund.")


class UseCreditsRequest(ApiRequest):
    """Work that costs credits: counting words, so that an integration can be tried without a model."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"service": "TASK_GENERATION", "quantity": 1, "text": EXAMPLE_TEXT}]}
    )

    service: Service = Field(Service.TASK_GENERATION, description="Whose price to pay.")
    quantity: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(1, description="How many units to hold.")
    units: Annotated[int, Field(strict=True, ge=0, le=100)] | None = Field(
        None, description="How many of them to use up in the end; the rest is given back. All when absent."
    )
    text: Text = Field(EXAMPLE_TEXT, max_length=2000, description="What to work on.", examples=[EXAMPLE_TEXT])
    fail: bool = Field(
        False, description="Let the work fail: 422 `work_failed`, and nothing is charged.", strict=True
    )
    workspace_id: UUID | None = Field(None, description="The pool pays; absent: your own wallet pays.")


class StreamCreditsRequest(ApiRequest):
    """The same as a stream: one event a word."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"service": "CHAT_ASSISTANT", "text": EXAMPLE_TEXT}]})

    service: Service = Field(Service.CHAT_ASSISTANT, description="Whose price to pay.")
    text: Text = Field(EXAMPLE_TEXT, max_length=2000, description="What to say.", examples=[EXAMPLE_TEXT])
    fail: bool = Field(False, description="Let the work fail at its end: nothing is charged.", strict=True)
    workspace_id: UUID | None = Field(None, description="The pool pays; absent: your own wallet pays.")


class ExampleResult(ApiModel):
    """What the example's work comes to."""

    words: int = Field(description="How many words the text has.", examples=[7])
    characters: int = Field(description="How many characters.", examples=[31])


class UseCreditsAnswer(ApiModel):
    result: ExampleResult = Field(description="What the work came to.")
    usage: ChargedUsage = Field(description="What it cost.")
