"""Shapes of the outbox on the wire, for the operator."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.outbox.enums import MailStatus


class MailRead(ApiModel):
    """One mail, without its address and words: neither is kept."""

    id: UUID = Field(description="The mail's id; its Message-ID begins with it.")
    user_id: UUID | None = Field(description="Who it goes to; null when they have no account.")
    kind: str = Field(description="What it tells of.", examples=["notification"])
    subject_id: UUID = Field(description="The row it tells of, such as the notification.")
    is_urgent: bool = Field(
        description="Whether it goes out beyond the daily limit: what cannot be switched off, and what gathers "
        "several."
    )
    status: MailStatus = Field(
        description="PENDING waits, SENDING is in a worker's hands; SENT was taken by the mail server, REFUSED by it "
        "for good, FAILED was tried for two days, DROPPED was not wanted any more."
    )
    attempts: int = Field(description="How often it was taken up.", examples=[1])
    outcome: str | None = Field(
        description="The server's last code, or why it was not sent; null before.", examples=["550 5.1.1"]
    )
    created_at: Timestamp = Field(description="When it was put, in business time.")
    due_at: Timestamp = Field(description="Not tried before then; real time.")
    finished_at: Timestamp | None = Field(description="When it came to its end, in real time; null before.")


class MailsAnswer(ApiModel):
    mails: list[MailRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
