"""Shapes of the audit log and of explained permissions on the wire."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.identity.permissions import Role


class AuditEntryRead(ApiModel):
    """Who did what to what, and in which request. It never changes."""

    id: UUID = Field(description="The entry's id; newer ones are greater.")
    created_at: Timestamp = Field(description="When it was done.")
    action: str = Field(description="What was done.", examples=["member.role_changed"])
    actor_kind: str = Field(
        description="Who did it: a `user`, the `admin_key` of the installation, or the `system` itself.",
        examples=["user"],
    )
    actor_user_id: UUID | None = Field(description="The person who did it; null when it was none.")
    actor_key_id: UUID | None = Field(description="The API key of theirs it was done with; null without one.")
    actor_name: str | None = Field(description="The person's name as it is now.", examples=["Ann Archer"])
    subject_type: str = Field(description="What it was done to.", examples=["member"])
    subject_id: str = Field(description="The id of that.", examples=["0198c0de-0000-7000-8000-000000000000"])
    details: dict[str, Any] = Field(
        description="What it was and became, by action.", examples=[{"role": "ADMIN", "before": "MEMBER"}]
    )
    request_id: str = Field(description="The request it was done in, as in its `X-Request-ID`; empty for the system.")


class AuditAnswer(ApiModel):
    entries: list[AuditEntryRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class PermissionRule(StrEnum):
    """What decided it."""

    OWN_ACCOUNT = "OWN_ACCOUNT"
    OWN_MEMBERSHIP = "OWN_MEMBERSHIP"
    ROLE = "ROLE"
    RANK = "RANK"
    NOT_APPLICABLE = "NOT_APPLICABLE"


class PermissionRead(ApiModel):
    """Whether the caller may do something to something, and why."""

    resource: str = Field(
        description="What was asked about.", examples=["workspace:0198c0de-0000-7000-8000-000000000000"]
    )
    action: str = Field(description="The permission that was asked about.", examples=["member.manage"])
    allowed: bool = Field(description="Whether the caller may, now.", examples=[False])
    rule: PermissionRule = Field(
        description="OWN_ACCOUNT: it is the caller's own. OWN_MEMBERSHIP: everybody may leave but the last owner."
        " ROLE: the caller's role has the permission, or not. RANK: nobody manages somebody of their own rank or"
        " above, but an owner."
        " NOT_APPLICABLE: the permission is not about such a thing."
    )
    because: str = Field(description="The same in a sentence.", examples=["VIEWER does not include member.manage."])
    workspace_id: UUID | None = Field(description="The workspace it belongs to; null for the caller's own account.")
    role: Role | None = Field(description="The caller's role there; null for their own account.")
    granted_to: list[Role] = Field(description="Every role that would be allowed.", examples=[["ADMIN", "OWNER"]])
    would_grant: Role | None = Field(
        description="The least role the caller would need; null when they may already, or when no role would help.",
        examples=["ADMIN"],
    )
    granted_by: list[Role] = Field(
        description="Members of these roles can give the caller that role.", examples=[["OWNER"]]
    )


class PermissionAnswer(ApiModel):
    permission: PermissionRead = Field(description="The decision, explained.")
