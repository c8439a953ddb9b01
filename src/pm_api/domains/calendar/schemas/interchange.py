"""Imports of calendars on the wire."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel


class ImportOutcome(StrEnum):
    """What became of one event of a file."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"
    UNCHANGED = "UNCHANGED"
    REFUSED = "REFUSED"


class EventImportItem(ApiModel):
    """One VEVENT of the file."""

    uid: str = Field(description="Its UID.", examples=["4711@example.org"])
    recurrence_id: str | None = Field(
        description="Of one occurrence that differs from its series, which.", examples=["20260309T090000"]
    )
    title: str = Field(description="What it is called.", examples=["Sprint planning"])
    sequence: int = Field(description="How often its time had changed.", examples=[0])
    outcome: ImportOutcome = Field(description="What became of it; in a dry run, what would.", examples=["CREATED"])
    event_id: UUID | None = Field(description="The event here, or that was; null when refused, or not made yet.")
    reason: str | None = Field(description="Why it was refused.", examples=["It has no DTSTART."])
    notes: list[str] = Field(
        description="What had to be read into it.",
        examples=[["Time zone 'Eastern Standard Time' was taken as America/New_York."]],
    )


class ImportIgnored(ApiModel):
    """What of the file is no event."""

    component: str = Field(description="What it is.", examples=["VTODO"])
    count: int = Field(description="How many.", examples=[3])


class EventImportReport(ApiModel):
    """What became of a file."""

    name: str = Field(description="What the file calls itself; may be empty.", examples=["Team"])
    items: list[EventImportItem] = Field(description="Event by event, in the order of the file.")
    ignored: list[ImportIgnored] = Field(description="To-dos, journals and the like, which were left out.")
    created: int = Field(description="How many were made.")
    updated: int = Field(description="How many were there in an older version.")
    deleted: int = Field(description="How many were cancelled, and are gone.")
    unchanged: int = Field(description="How many were there already, or are cancelled and were not.")
    refused: int = Field(description="How many could not be taken in.")
    dry_run: bool = Field(description="Whether nothing was written.")


class EventImportAnswer(ApiModel):
    """What became of a file."""

    report: EventImportReport = Field(description="Event by event.")
