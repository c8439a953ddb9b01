"""Rows of the team as the wire shows them."""

from datetime import datetime
from uuid import UUID

from pm_api.domains.projects.enums import ProjectRole
from pm_api.domains.team.enums import InvitationStatus, MemberStatus
from pm_api.domains.team.models import Invitation
from pm_api.domains.team.schemas import InvitationRead, LeftBehind, TeamMemberRead
from pm_api.identity.belongings import Left
from pm_api.identity.permissions import Role
from pm_api.identity.schemas.people import MemberRead


def status_of(row: Invitation, now: datetime) -> InvitationStatus:
    """As it is stored, except that what waits expires by the clock."""
    status = InvitationStatus(row.status)
    return InvitationStatus.EXPIRED if status is InvitationStatus.PENDING and row.expires_at <= now else status


def invitation(row: Invitation, inviter_name: str, now: datetime) -> InvitationRead:
    return InvitationRead(
        id=row.id,
        workspace_id=row.workspace_id,
        email=row.email,
        role=Role(row.role),
        projects=[UUID(one) for one in row.project_ids],
        project_role=ProjectRole(row.project_role) if row.project_role is not None else None,
        status=status_of(row, now),
        invited_by=row.invited_by,
        inviter_name=inviter_name,
        sent_at=row.sent_at,
        expires_at=row.expires_at,
        decided_at=row.decided_at,
        created_at=row.created_at,
        version=row.version,
    )


def member(found: MemberRead, status: MemberStatus = MemberStatus.ACTIVE) -> TeamMemberRead:
    return TeamMemberRead(
        id=found.id,
        workspace_id=found.workspace_id,
        user_id=found.user_id,
        name=found.name,
        avatar=found.avatar,
        email=found.email,
        role=found.role,
        status=status,
        joined_at=found.joined_at,
        invited_at=None,
        version=found.version,
    )


def invited(row: Invitation) -> TeamMemberRead:
    """Who they are beyond the address is not told: nobody finds people outside a shared workspace."""
    return TeamMemberRead(
        id=row.id,
        workspace_id=row.workspace_id,
        user_id=None,
        name=None,
        email=row.email,
        role=Role(row.role),
        status=MemberStatus.INVITED,
        joined_at=None,
        invited_at=row.sent_at,
        version=row.version,
    )


def left(found: list[Left]) -> list[LeftBehind]:
    return [LeftBehind.model_validate(one) for one in found]
