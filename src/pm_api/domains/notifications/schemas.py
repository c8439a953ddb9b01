"""Shapes of notifications on the wire."""

from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp, either
from pm_api.domains.notifications.enums import Category

TYPE_PATTERN: Final = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$"
TYPE_LENGTH: Final = 100


def _is_id(value: object) -> bool:
    """No time has four dashes before its seconds, and no id has a colon."""
    return isinstance(value, UUID) or (isinstance(value, str) and ":" not in value)


class NotificationRead(ApiModel):
    """One thing you are told."""

    id: UUID = Field(description="The notification's id; a newer one has a greater id.")
    workspace_id: UUID | None = Field(description="The workspace it is about; null when it is about you alone.")
    category: Category = Field(description="What it is about, coarsely.", examples=["CREDITS"])
    type: str = Field(description="What exactly happened.", examples=["credits.low_balance"])
    reason: str = Field(
        description="Why you are told.", examples=["You are an owner of the workspace whose credits run low."]
    )
    title: str = Field(description="One line.", examples=["Acme has 20 credits left"])
    body: str = Field(
        description="The rest, in plain text; may be empty.",
        examples=["That is 20 % of what the plan gives a month."],
    )
    data: dict[str, Any] = Field(
        description="The figures behind the words; which ones depends on `type`.", examples=[{"available": 20}]
    )
    link: str | None = Field(
        description="A path within the app where you can do something about it; null when there is none.",
        examples=["/credits"],
    )
    created_at: Timestamp = Field(description="When you were told.")
    read_at: Timestamp | None = Field(description="When you read it; null while it is unread.")
    archived_at: Timestamp | None = Field(description="When you put it away; null before.")
    snoozed_until: Timestamp | None = Field(description="It is hidden until then; null when it was not put to sleep.")
    woken_at: Timestamp | None = Field(
        description="When it last woke and you were told again, unread; null when it never slept."
    )
    version: int = Field(description="Counts changes.", examples=[1])


class NotificationAnswer(ApiModel):
    notification: NotificationRead = Field(description="The notification as it is now.")


class NotificationsAnswer(ApiModel):
    notifications: list[NotificationRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class UnreadAnswer(ApiModel):
    unread: int = Field(description="How many are unread, at most 1000. Archived and sleeping ones do not count.")
    capped: bool = Field(description="True when there are more than `unread` says.", examples=[False])


class SnoozeRequest(ApiRequest):
    until: Timestamp | None = Field(
        description="Hidden until then: at most a year from now. Null wakes it at once.",
        examples=["2026-01-31T09:30:00Z"],
    )


class ReadAllRequest(ApiRequest):
    up_to: Annotated[UUID | Timestamp, either(UUID, Timestamp, is_one=_is_id)] = Field(
        description="The newest one you have seen: its `id`, or its `createdAt`. What came after stays unread.",
        examples=["2026-01-31T09:30:00Z"],
    )


class ReadAllAnswer(ApiModel):
    read: int = Field(description="How many are read now that were unread before, at most 500 a call.", examples=[3])
    has_more: bool = Field(description="True when unread ones are left up to the bound: send the same again.")
