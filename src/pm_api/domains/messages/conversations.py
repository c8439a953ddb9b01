"""Rules of conversations: who speaks where. What changes one holds its row; what puts people in or out holds the
workspace first, so that nobody is let in who is just leaving.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound, ValidationFailed
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.messages import recording, shown
from pm_api.domains.messages.enums import ConversationKind, NewKind
from pm_api.domains.messages.errors import (
    ConversationArchived,
    FixedConversation,
    InvalidMembers,
    NoSharedProject,
    TooManyChannels,
    TooManyMembers,
)
from pm_api.domains.messages.models import Conversation
from pm_api.domains.messages.repository import conversations as repository
from pm_api.domains.messages.schemas.conversations import (
    MOST_MEMBERS,
    ConversationCreate,
    ConversationRead,
    ConversationsAnswer,
    ConversationUpdate,
)
from pm_api.domains.projects import service as projects
from pm_api.identity.errors.people import WorkspaceNotFound, role_lacks
from pm_api.identity.permissions import Role, allows
from pm_api.identity.repository import circles
from pm_api.identity.repository import people as identity

LISTED: Final = "conversations"
MOST_CHANNELS: Final = 100


# --- finding ---------------------------------------------------------------------------------------------------


async def found(
    session: AsyncSession, scope: WorkspaceScope, conversation_id: UUID, *, lock: bool = False
) -> Conversation:
    """One that the caller sees; raises NotFound."""
    read = repository.lock if lock else repository.conversation
    row = await read(session, scope, conversation_id)
    if row is None:
        raise NotFound
    return row


async def ensure_writable(session: AsyncSession, row: Conversation) -> None:
    """Raises ConversationArchived, or ProjectArchived when its project can only be read."""
    if row.project_id is not None:
        await projects.ensure_writable(session, row.project_id)
    if row.archived_at is not None:
        raise ConversationArchived


async def get(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, conversation_id: UUID
) -> ConversationRead:
    """Raises NotFound."""
    standings = await repository.standings(session, scope, platform.clock.now(), only=conversation_id)
    if not standings:
        raise NotFound
    [read] = await shown.conversations(session, platform, standings)
    return read


async def list_of(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    page: PageRequest,
    *,
    kind: ConversationKind | None = None,
    project_id: UUID | None = None,
    archived: bool = False,
) -> ConversationsAnswer:
    """A page of what the caller sees in a workspace, the last active first, with their unread counts."""
    filters = {"workspace": scope.workspace_id, "kind": kind, "project": project_id, "archived": archived}
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    rows = await repository.standings(
        session,
        scope,
        platform.clock.now(),
        kind=kind,
        project_id=project_id,
        archived=archived,
        after=(datetime.fromisoformat(key[0]), UUID(key[1])) if key else None,
        limit=page.limit + 1,
    )
    on_page = rows[: page.limit]
    last = on_page[-1].conversation if len(rows) > page.limit else None
    return ConversationsAnswer(
        conversations=await shown.conversations(session, platform, on_page),
        next_cursor=platform.cursors.encode((last.active_at, last.id) if last else None, of=LISTED, **filters),
    )


# --- beginning -------------------------------------------------------------------------------------------------


async def create(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: ConversationCreate
) -> ConversationRead:
    """A group of these people, or a channel. Raises ValidationFailed, InvalidMembers, TooManyMembers,
    TooManyChannels, NotFound for a project out of sight, ProjectArchived, and Forbidden for who only reads there.
    """
    await _lock_workspace(session, scope)
    if wanted.kind is NewKind.GROUP:
        row = await _create_group(session, platform, scope, wanted)
    else:
        row = await _create_channel(session, platform, scope, wanted)
    recording.conversation(session, platform, row, "created", scope.user_id)
    return await get(session, platform, scope, row.id)


async def _create_group(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: ConversationCreate
) -> Conversation:
    if wanted.project_id is not None:
        raise _misplaced("projectId", "is for channels: a group has members of its own")
    others = set(wanted.member_ids) - {scope.user_id}
    if len(others) >= MOST_MEMBERS:
        raise TooManyMembers
    await ensure_members(session, scope, others)
    scope_id = await _new_circle(session, platform, scope, is_open=False)
    for user_id in sorted(others):
        await circles.put_companion(session, scope_id, user_id, Role.MEMBER, platform.clock.now())
    return await _insert(session, platform, scope, wanted.name, ConversationKind.GROUP, scope_id)


async def _create_channel(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: ConversationCreate
) -> Conversation:
    if wanted.member_ids:
        raise _misplaced("memberIds", "is for groups: a channel is read by all who see it")
    project_id = wanted.project_id
    if project_id is None:
        scope_id = await _new_circle(session, platform, scope, is_open=True)
    else:
        scope_id = await _circle_of_project(session, scope, project_id)
    if await repository.count_channels(session, scope.workspace_id, project_id) >= MOST_CHANNELS:
        raise TooManyChannels
    return await _insert(
        session, platform, scope, wanted.name, ConversationKind.CHANNEL, scope_id, project_id=project_id
    )


async def _circle_of_project(session: AsyncSession, scope: WorkspaceScope, project_id: UUID) -> UUID:
    project = await projects.project(session, scope, project_id, lock=True)
    if project is None:
        raise NotFound("There is no such project in this workspace.")
    await projects.ensure_writable(session, project_id)
    role = await identity.role_in_scope(session, project.scope_id, scope.user_id, scope.role)
    if role is None or not allows(role, "message.write"):
        raise role_lacks(role or Role.GUEST, "message.write")
    return project.scope_id


async def open_direct(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, user_id: UUID
) -> tuple[ConversationRead, bool]:
    """The conversation of two people, and whether it is new. Both may write in it, whatever they are elsewhere.

    Raises InvalidMembers, and NoSharedProject for a guest who shares no project with the other.
    """
    await _lock_workspace(session, scope)
    if await repository.is_guest_here(session, scope.workspace_id, scope.user_id) and (
        user_id == scope.user_id
        or not await repository.share_a_project(session, scope.workspace_id, scope.user_id, user_id)
    ):
        raise NoSharedProject
    if user_id == scope.user_id:
        raise InvalidMembers("A direct conversation is with somebody else.")
    await ensure_members(session, scope, {user_id})
    first, second = sorted((scope.user_id, user_id))
    row = await repository.direct_between(session, scope.workspace_id, first, second)
    is_new = row is None
    if row is None:
        scope_id = platform.randomness.uuid()
        await circles.insert_circle(session, scope_id, scope.workspace_id, is_open=False)
        row = await _insert(
            session, platform, scope, "", ConversationKind.DIRECT, scope_id, first=first, second=second
        )
        recording.conversation(session, platform, row, "created", scope.user_id)
    for one in (first, second):  # somebody may have left the workspace and come back
        await circles.put_companion(session, row.scope_id, one, Role.MEMBER, platform.clock.now())
    return await get(session, platform, scope, row.id), is_new


async def _new_circle(session: AsyncSession, platform: Platform, scope: WorkspaceScope, *, is_open: bool) -> UUID:
    """With its creator as admin."""
    scope_id = platform.randomness.uuid()
    await circles.insert_circle(session, scope_id, scope.workspace_id, is_open=is_open)
    await circles.put_companion(session, scope_id, scope.user_id, Role.ADMIN, platform.clock.now())
    return scope_id


async def _insert(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    name: str,
    kind: ConversationKind,
    scope_id: UUID,
    *,
    project_id: UUID | None = None,
    first: UUID | None = None,
    second: UUID | None = None,
) -> Conversation:
    now = platform.clock.now()
    row = Conversation(
        id=platform.randomness.uuid(),
        workspace_id=scope.workspace_id,
        scope_id=scope_id,
        project_id=project_id,
        kind=kind.value,
        name=name,
        first_user_id=first,
        second_user_id=second,
        created_by_user_id=scope.user_id,
        active_at=now,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    return row


async def ensure_members(session: AsyncSession, scope: WorkspaceScope, user_ids: Collection[UUID]) -> None:
    """Raises InvalidMembers when one of them does not belong to the workspace."""
    strangers = set(user_ids) - await repository.members_among(session, scope.workspace_id, user_ids)
    if strangers:
        raise InvalidMembers(
            details=[{"pointer": "", "detail": f"{one} is no member of this workspace"} for one in sorted(strangers)]
        )


async def _lock_workspace(session: AsyncSession, scope: WorkspaceScope) -> None:
    """Raises WorkspaceNotFound when it, or the caller's place in it, has gone meanwhile."""
    workspace = await identity.lock_workspace(session, scope.workspace_id)
    member = await identity.member_by_user(session, scope.workspace_id, scope.user_id)
    if workspace is None or workspace.deleted_at is not None or member is None:
        raise WorkspaceNotFound


def _misplaced(field: str, why: str) -> ValidationFailed:
    return ValidationFailed(f"{field} {why}", details=[{"pointer": f"/{field}", "detail": why}])


# --- changing --------------------------------------------------------------------------------------------------


async def update(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    conversation_id: UUID,
    wanted: ConversationUpdate,
    expected_version: int | None,
) -> ConversationRead:
    """Another name. Raises NotFound, PreconditionFailed, FixedConversation, ConversationArchived, ProjectArchived."""
    row = await _to_change(session, scope, conversation_id, expected_version)
    await ensure_writable(session, row)
    if wanted.name is not None and wanted.name != row.name:
        row.name = wanted.name
        await _changed(session, platform, scope, row, "updated")
    return await get(session, platform, scope, row.id)


async def archive(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    conversation_id: UUID,
    expected_version: int | None,
) -> ConversationRead:
    """From now on it can only be read. Raises NotFound, PreconditionFailed and FixedConversation."""
    row = await _to_change(session, scope, conversation_id, expected_version)
    if row.archived_at is None:
        row.archived_at = platform.clock.now()
        await _changed(session, platform, scope, row, "archived")
    return await get(session, platform, scope, row.id)


async def restore(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    conversation_id: UUID,
    expected_version: int | None,
) -> ConversationRead:
    """Out of the archive. Raises NotFound, PreconditionFailed, FixedConversation, and ProjectArchived."""
    row = await _to_change(session, scope, conversation_id, expected_version)
    if row.project_id is not None:
        await projects.ensure_writable(session, row.project_id)
    if row.archived_at is not None:
        row.archived_at = None
        await _changed(session, platform, scope, row, "restored")
    return await get(session, platform, scope, row.id)


async def _to_change(
    session: AsyncSession, scope: WorkspaceScope, conversation_id: UUID, expected_version: int | None
) -> Conversation:
    row = await found(session, scope, conversation_id, lock=True)
    check_version(row.version, expected_version)
    if row.kind == ConversationKind.DIRECT:
        raise FixedConversation
    return row


async def _changed(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, row: Conversation, action: str
) -> None:
    touch(platform, row)
    await session.flush()
    recording.conversation(session, platform, row, action, scope.user_id)


def touch(platform: Platform, row: Conversation) -> None:
    row.version += 1
    row.updated_at = platform.clock.now()
