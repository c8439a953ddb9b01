"""Inviting people, as admins do it. Every change takes the workspace's lock and reads the caller's role again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.crypto import digest_token
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.projects import members as projects
from pm_api.domains.projects.enums import ProjectRole
from pm_api.domains.team import links, reading, repository, telling
from pm_api.domains.team.enums import InvitationStatus, InviteOutcome
from pm_api.domains.team.errors import (
    AlreadyInvited,
    GuestNeedsProject,
    InvitationNotFound,
    InvitationNotOpen,
    ProjectsNotYours,
    TooManyInvitations,
)
from pm_api.domains.team.models import Invitation
from pm_api.domains.team.schemas import InvitationRead, InvitationsAnswer, InvitationUpdate, InviteResult
from pm_api.identity import audit
from pm_api.identity.errors.people import AlreadyMember, RoleTooHigh, WorkspaceNotFound, role_lacks
from pm_api.identity.models.people import Member
from pm_api.identity.permissions import Role, allows, outranks
from pm_api.identity.repository import people as identity
from pm_api.identity.schemas.people import normalised_email
from pm_api.outbox import service as outbox
from pm_api.outbox.service import NewMail

MAIL_KIND: Final = "team.invitation"
MANAGE: Final = "member.manage"
LIFETIME: Final = timedelta(days=7)
MOST_OPEN: Final = 1000
LISTED: Final = "invitations"


@dataclass(frozen=True, slots=True)
class _Asked:
    """One address as it was sent, and as it is stored; None when it is none."""

    sent: str
    email: str | None


@dataclass(frozen=True, slots=True)
class _Into:
    """Projects to be put into, as they are stored, and as what."""

    project_ids: tuple[str, ...]
    role: ProjectRole | None


# --- reading ---------------------------------------------------------------------------------------------------


async def list_of(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    page: PageRequest,
    *,
    status: InvitationStatus | None = None,
    prefix: str | None = None,
) -> InvitationsAnswer:
    """A page of a workspace's invitations, newest first."""
    filters = {"workspace": scope.workspace_id, "status": status, "prefix": prefix}
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    now = platform.clock.now()
    rows = await repository.invitations_of(
        session,
        scope,
        now,
        status=status,
        prefix=prefix,
        role=None,
        limit=page.limit + 1,
        after=UUID(key[0]) if key else None,
    )
    shown = rows[: page.limit]
    following = (shown[-1][0].id,) if len(rows) > page.limit else None
    return InvitationsAnswer(
        invitations=[reading.invitation(row, name, now) for row, name in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, **filters),
    )


async def get(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, invitation_id: UUID
) -> InvitationRead:
    """One invitation; raises InvitationNotFound."""
    found = await repository.invitation(session, scope, invitation_id)
    if found is None:
        raise InvitationNotFound
    return reading.invitation(*found, platform.clock.now())


# --- inviting --------------------------------------------------------------------------------------------------


async def invite(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    addresses: Sequence[str],
    role: Role,
    *,
    project_ids: Sequence[UUID] = (),
    project_role: ProjectRole | None = None,
) -> list[InviteResult]:
    """Ask addresses in, each with an outcome of its own. What has expired is renewed. Seats are not counted before
    somebody accepts. Raises WorkspaceNotFound, Forbidden, RoleTooHigh, TooManyInvitations, GuestNeedsProject or
    ProjectsNotYours.
    """
    caller = await _locked_caller(session, scope)
    _check_rank(caller, role)
    into = await _projects(session, scope, role, project_ids, project_role)
    now = platform.clock.now()
    asked = [_Asked(one, _parsed(one)) for one in addresses]
    emails = {one.email for one in asked if one.email is not None}
    members = await repository.member_emails(session, scope.workspace_id, emails)
    waiting = await repository.open_by_email(session, scope.workspace_id, emails)
    renewed = {email for email, row in waiting.items() if row.expires_at <= now}
    fresh = emails - members - (set(waiting) - renewed)
    if fresh and await repository.count_open(session, scope.workspace_id, now) + len(fresh) > MOST_OPEN:
        raise TooManyInvitations
    made = {email: _open(session, platform, scope, email, role, into, waiting.get(email)) for email in sorted(fresh)}
    await session.flush()
    await _send(session, platform, list(made.values()))
    inviter = await identity.user_by_id(session, scope.user_id)
    assert inviter is not None, "a member is a user"
    results: list[InviteResult] = []
    told: set[str] = set()
    for one in asked:
        if one.email is None:
            results.append(InviteResult(email=one.sent, outcome=InviteOutcome.INVALID_ADDRESS, invitation=None))
            continue
        row = made.get(one.email)
        if one.email in members:
            outcome = InviteOutcome.ALREADY_MEMBER
        elif row is None or one.email in told:
            outcome = InviteOutcome.ALREADY_INVITED
        else:
            outcome = InviteOutcome.INVITED
        results.append(await _result(session, scope, one.email, outcome, row, inviter.name, platform))
        told.add(one.email)
    return results


async def _result(
    session: AsyncSession,
    scope: WorkspaceScope,
    email: str,
    outcome: InviteOutcome,
    row: Invitation | None,
    inviter_name: str,
    platform: Platform,
) -> InviteResult:
    now = platform.clock.now()
    if outcome is InviteOutcome.ALREADY_MEMBER:
        return InviteResult(email=email, outcome=outcome, invitation=None)
    if row is not None:
        return InviteResult(email=email, outcome=outcome, invitation=reading.invitation(row, inviter_name, now))
    waiting = (await repository.open_by_email(session, scope.workspace_id, [email]))[email]
    found = await repository.invitation(session, scope, waiting.id)
    assert found is not None, "it was read under the workspace's lock"
    return InviteResult(email=email, outcome=outcome, invitation=reading.invitation(*found, now))


async def resend(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, invitation_id: UUID
) -> InvitationRead:
    """A new link for seven days from now; the one before opens nothing any more. Raises InvitationNotFound,
    InvitationNotOpen, Forbidden or RoleTooHigh.
    """
    row, name = await _open_one(session, scope, invitation_id)
    _renew(platform, row)
    await _changed(session, platform, scope, row, "resent")
    await _send(session, platform, [row])
    return reading.invitation(row, name, platform.clock.now())


async def update(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    invitation_id: UUID,
    change: InvitationUpdate,
    expected_version: int | None,
) -> InvitationRead:
    """Another role, other projects, or another address, which gets a link of its own. Raises InvitationNotFound,
    InvitationNotOpen, PreconditionFailed, Forbidden, RoleTooHigh, AlreadyMember, AlreadyInvited, GuestNeedsProject or
    ProjectsNotYours.
    """
    row, name = await _open_one(session, scope, invitation_id, new_role=change.role)
    check_version(row.version, expected_version)
    is_bound_anew = change.email is not None and change.email != row.email
    changed = []
    if change.role is not None and change.role != row.role:
        row.role = change.role
        changed.append("role")
    if change.model_fields_set & {"role", "projects", "project_role"}:
        project_ids = [UUID(one) for one in row.project_ids] if change.projects is None else change.projects
        as_before = ProjectRole(row.project_role) if row.project_role is not None else None
        into = await _projects(session, scope, Role(row.role), project_ids, change.project_role or as_before)
        if (row.project_ids, row.project_role) != (list(into.project_ids), into.role):
            row.project_ids, row.project_role = list(into.project_ids), into.role
            changed.append("projects")
    if is_bound_anew and change.email is not None:
        await _check_is_free(session, platform, scope, change.email)
        row.email = change.email
        changed.append("email")
    if changed:
        if is_bound_anew:
            _renew(platform, row)
        await _changed(session, platform, scope, row, "changed", fields=changed, role=row.role)
    if is_bound_anew:
        await _send(session, platform, [row])
    return reading.invitation(row, name, platform.clock.now())


async def revoke(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    invitation_id: UUID,
    expected_version: int | None,
) -> None:
    """Withdraw it: its link opens nothing any more. Raises InvitationNotFound, InvitationNotOpen, PreconditionFailed,
    Forbidden or RoleTooHigh.
    """
    row, _ = await _open_one(session, scope, invitation_id)
    check_version(row.version, expected_version)
    row.status = InvitationStatus.REVOKED
    row.decided_at = platform.clock.now()
    await _changed(session, platform, scope, row, "revoked")


# --- parts -----------------------------------------------------------------------------------------------------


def _parsed(address: str) -> str | None:
    try:
        return normalised_email(address)
    except ValueError:
        return None


async def _locked_caller(session: AsyncSession, scope: WorkspaceScope) -> Member:
    """The caller as they are under the workspace's lock; raises WorkspaceNotFound or Forbidden."""
    workspace = await identity.lock_workspace(session, scope.workspace_id)
    caller = await identity.member_by_user(session, scope.workspace_id, scope.user_id)
    if workspace is None or workspace.deleted_at is not None or caller is None:
        raise WorkspaceNotFound
    if not allows(caller.role, MANAGE):
        raise role_lacks(caller.role, MANAGE)
    return caller


def _check_rank(caller: Member, *roles: Role | str | None) -> None:
    """Nobody invites above their own role, nor touches an invitation to a role above it."""
    if any(role is not None and outranks(role, caller.role) for role in roles):
        raise RoleTooHigh


async def _projects(
    session: AsyncSession,
    scope: WorkspaceScope,
    role: Role,
    project_ids: Sequence[UUID],
    project_role: ProjectRole | None,
) -> _Into:
    """Only what the caller manages; raises GuestNeedsProject or ProjectsNotYours."""
    if not project_ids:
        if role is Role.GUEST:
            raise GuestNeedsProject
        return _Into((), None)
    managed = {one.id for one in await projects.managed_by(session, scope.workspace_id, scope.user_id, project_ids)}
    details = [
        {"pointer": f"/projects/{place}", "detail": "Is no project that you manage"}
        for place, one in enumerate(project_ids)
        if one not in managed
    ]
    if details:
        raise ProjectsNotYours(details=details)
    usual = ProjectRole.VIEWER if role is Role.VIEWER else ProjectRole.MEMBER
    return _Into(tuple(str(one) for one in project_ids), project_role or usual)


async def _open_one(
    session: AsyncSession, scope: WorkspaceScope, invitation_id: UUID, *, new_role: Role | None = None
) -> tuple[Invitation, str]:
    """One that waits (or has waited too long), with the name of who invites."""
    try:
        caller = await _locked_caller(session, scope)
    except WorkspaceNotFound:
        raise InvitationNotFound from None
    found = await repository.invitation(session, scope, invitation_id)
    if found is None:
        raise InvitationNotFound
    row, name = found
    _check_rank(caller, row.role, new_role)
    if row.status != InvitationStatus.PENDING:
        raise InvitationNotOpen
    return row, name


async def _check_is_free(session: AsyncSession, platform: Platform, scope: WorkspaceScope, email: str) -> None:
    if await repository.member_emails(session, scope.workspace_id, [email]):
        raise AlreadyMember
    other = (await repository.open_by_email(session, scope.workspace_id, [email])).get(email)
    if other is None:
        return
    if reading.status_of(other, platform.clock.now()) is not InvitationStatus.EXPIRED:
        raise AlreadyInvited
    # What has run out makes room; the address keeps one open row at most.
    other.status = InvitationStatus.REVOKED
    other.decided_at = platform.clock.now()
    await _changed(session, platform, scope, other, "revoked")
    await session.flush()


def _open(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    email: str,
    role: Role,
    into: _Into,
    expired: Invitation | None,
) -> Invitation:
    """A new row, or an expired one taken up again under the caller's name."""
    now = platform.clock.now()
    row = expired
    if row is None:
        row = Invitation(
            id=platform.randomness.uuid(),
            workspace_id=scope.workspace_id,
            email=email,
            status=InvitationStatus.PENDING,
            accepted_by=None,
            decided_at=None,
            version=0,
            created_at=now,
        )
        session.add(row)
    row.role = role
    row.project_ids, row.project_role = list(into.project_ids), into.role
    row.invited_by = scope.user_id
    _renew(platform, row)
    _note(session, platform, scope, row, "created", role=role)
    return row


def _renew(platform: Platform, row: Invitation) -> None:
    """Another letter, another token, another seven days."""
    now = platform.clock.now()
    row.letter_id = platform.randomness.uuid()
    row.token_hash = digest_token(links.token_of(platform.keys, row.letter_id))
    row.sent_at = now
    row.expires_at = now + LIFETIME


async def _send(session: AsyncSession, platform: Platform, rows: Sequence[Invitation]) -> None:
    await outbox.put(session, platform, [NewMail(MAIL_KIND, row.letter_id, None, is_urgent=True) for row in rows])
    await telling.invited(session, platform, [row.id for row in rows])


async def _changed(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    row: Invitation,
    action: str,
    **details: object,
) -> None:
    _note(session, platform, scope, row, action, **details)
    await session.flush()


def _note(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, row: Invitation, action: str, **details: object
) -> None:
    """Count the change, and tell the audit log and the feed. The address itself stands in neither."""
    row.version += 1
    row.updated_at = platform.clock.now()
    audit.record(
        session,
        platform,
        scope.actor,
        f"invitation.{action}",
        subject=("invitation", row.id),
        workspace_id=row.workspace_id,
        **details,
    )
    changes.record(
        session,
        platform,
        workspace_id=row.workspace_id,
        entity="invitation",
        entity_id=row.id,
        action=action,
        version=row.version,
        least_role=Role.ADMIN,
        actor_user_id=scope.user_id,
    )
