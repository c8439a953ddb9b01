"""Shapes of the webhook routes."""

from typing import Any
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp


class Receipt(ApiModel):
    received: bool = Field(description="Always true: the event is stored.", examples=[True])


class WebhookEvent(ApiModel):
    """One event in the inbox."""

    id: UUID = Field(description="Our id.")
    source: str = Field(description="Who sent it.", examples=["stripe"])
    event_id: str = Field(description="The sender's id.", examples=["evt_1"])
    type: str = Field(description="The sender's type.", examples=["checkout.session.completed"])
    subject: str = Field(description="Whose events it is worked off with.", examples=["cus_1"])
    object_id: str = Field(description="The object it speaks of.", examples=["cs_test_1"])
    status: str = Field(description="PENDING, HANDLED, IGNORED or HELD.", examples=["HANDLED"])
    outcome: str | None = Field(description="What was done, or why not.")
    attempts: int = Field(description="How often it was tried, whatever came of it.")
    event_created_at: Timestamp = Field(description="When it happened, as the sender says.")
    received_at: Timestamp = Field(description="When it came in.")
    handled_at: Timestamp | None = Field(description="When it was applied.")


class WebhookEventDetail(WebhookEvent):
    """One event with what was sent."""

    body: Any = Field(
        description="The event as it came; secrets and addresses that let somebody pay are covered.",
        examples=[{"id": "evt_1", "type": "checkout.session.completed"}],
    )


class WebhookEventDetailAnswer(ApiModel):
    event: WebhookEventDetail = Field(description="The event as it stands in the inbox, and its body.")


class WebhookEventAnswer(ApiModel):
    event: WebhookEvent = Field(description="The event as it stands in the inbox.")


class WebhookEvents(ApiModel):
    events: list[WebhookEvent] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="For the next page; null at the end.")
