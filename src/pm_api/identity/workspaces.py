"""Workspaces: what members share. Deleting is soft for 30 days; a deleted workspace keeps its slug."""

import re
import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.events import emit
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.identity import api_keys, audit, members, pictures
from pm_api.identity.errors.people import InvalidTransition, RestoreExpired, SlugTaken, WorkspaceNotFound, role_lacks
from pm_api.identity.events import WorkspaceChanged
from pm_api.identity.models.people import Member, Workspace
from pm_api.identity.permissions import Role, allows
from pm_api.identity.repository import people as repository
from pm_api.identity.schemas.people import WorkspaceRead, WorkspacesAnswer, WorkspaceUpdate

RESTORABLE_FOR: Final = timedelta(days=30)
SLUG_BASE_LENGTH: Final = 50
SLUG_ATTEMPTS: Final = 5
FALLBACK_SLUG: Final = "workspace"

LISTED: Final = "workspaces"


async def create(
    session: AsyncSession,
    platform: Platform,
    actor: Actor,
    *,
    name: str,
    slug: str | None = None,
    description: str | None = None,
) -> WorkspaceRead:
    """A new workspace owned by the actor; raises SlugTaken when the slug was asked for and is in use."""
    assert actor.user_id is not None
    for candidate in iter([slug]) if slug else _slugs_for(name, platform):
        workspace = await _insert(session, platform, name, candidate, description)
        if workspace is not None:
            break
    else:
        raise SlugTaken
    owner = await members.insert_member(session, platform, workspace.id, actor.user_id, Role.OWNER)
    audit.record(
        session,
        platform,
        actor,
        "workspace.created",
        subject=("workspace", workspace.id),
        workspace_id=workspace.id,
        slug=workspace.slug,
    )
    await _announce(session, platform, actor, workspace, "created")
    await members.announce(session, platform, actor, owner, "added", role=owner.role)
    return _read(platform, workspace, owner)


async def list_of(
    session: AsyncSession,
    platform: Platform,
    user_id: UUID,
    page: PageRequest,
    *,
    archived: bool | None = None,
    deleted: bool = False,
) -> WorkspacesAnswer:
    """A page of the user's workspaces, newest first."""
    filters = {"user": user_id, "archived": archived, "deleted": deleted}
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    rows = await repository.workspaces_of(
        session,
        user_id,
        limit=page.limit + 1,
        after=UUID(key[0]) if key else None,
        archived=archived,
        deleted=deleted,
    )
    shown = rows[: page.limit]
    following = (shown[-1][0].id,) if len(rows) > page.limit else None
    return WorkspacesAnswer(
        workspaces=[_read(platform, *row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, **filters),
    )


async def get(session: AsyncSession, platform: Platform, scope: WorkspaceScope) -> WorkspaceRead:
    """The workspace with the caller's role; raises WorkspaceNotFound."""
    place = await repository.membership(session, scope.workspace_id, scope.user_id)
    if place is None or place[0].deleted_at is not None:
        raise WorkspaceNotFound
    return _read(platform, *place)


async def update(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    change: WorkspaceUpdate,
    expected_version: int | None,
) -> WorkspaceRead:
    """Change the fields sent, also of an archived workspace; raises PreconditionFailed or SlugTaken."""
    workspace, member = await _locked(session, scope, "workspace.update")
    check_version(workspace.version, expected_version)
    changes = {
        name: value
        for name, value in change.model_dump(exclude_unset=True).items()
        if getattr(workspace, name) != value
    }
    if not changes:
        return _read(platform, workspace, member)
    try:
        async with session.begin_nested():
            for name, value in changes.items():
                setattr(workspace, name, value)
            _touch(workspace, platform)
    except IntegrityError as error:
        raise SlugTaken from error
    await _changed(session, platform, scope, workspace, "updated", fields=sorted(changes))
    return _read(platform, workspace, member)


async def set_logo(session: AsyncSession, platform: Platform, scope: WorkspaceScope, path: str | None) -> None:
    """The workspace's picture from now on, under the workspace's lock; raises WorkspaceNotFound and Forbidden."""
    workspace, _ = await _locked(session, scope, "workspace.update")
    if workspace.logo != path:
        workspace.logo = path
        _touch(workspace, platform)
        await _changed(session, platform, scope, workspace, "updated", fields=["logo"])


async def delete(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, expected_version: int | None
) -> None:
    """Hide the workspace from everybody; an owner may restore it within 30 days. Raises PreconditionFailed."""
    workspace, _ = await _locked(session, scope, "workspace.delete")
    check_version(workspace.version, expected_version)
    workspace.deleted_at = platform.clock.now()
    await api_keys.end_of_workspace(session, platform, scope.actor, workspace.id)
    _touch(workspace, platform)
    await _changed(session, platform, scope, workspace, "deleted")


async def restore(session: AsyncSession, platform: Platform, scope: WorkspaceScope) -> WorkspaceRead:
    """Undo a deletion; raises InvalidTransition when there is none, RestoreExpired after 30 days."""
    workspace, member = await _locked(session, scope, "workspace.restore", deleted=None)
    if workspace.deleted_at is None:
        raise InvalidTransition("The workspace is not deleted.")
    if platform.clock.now() - workspace.deleted_at > RESTORABLE_FOR:
        raise RestoreExpired
    workspace.deleted_at = None
    _touch(workspace, platform)
    await _changed(session, platform, scope, workspace, "restored")
    return _read(platform, workspace, member)


async def archive(session: AsyncSession, platform: Platform, scope: WorkspaceScope) -> WorkspaceRead:
    """Put the workspace away; raises InvalidTransition when it is archived already."""
    workspace, member = await _locked(session, scope, "workspace.archive")
    if workspace.archived_at is not None:
        raise InvalidTransition("The workspace is archived already.")
    workspace.archived_at = platform.clock.now()
    _touch(workspace, platform)
    await _changed(session, platform, scope, workspace, "archived")
    return _read(platform, workspace, member)


async def unarchive(session: AsyncSession, platform: Platform, scope: WorkspaceScope) -> WorkspaceRead:
    """Take the workspace back into use; raises InvalidTransition when it is not archived."""
    workspace, member = await _locked(session, scope, "workspace.archive")
    if workspace.archived_at is None:
        raise InvalidTransition("The workspace is not archived.")
    workspace.archived_at = None
    _touch(workspace, platform)
    await _changed(session, platform, scope, workspace, "unarchived")
    return _read(platform, workspace, member)


async def transfer(session: AsyncSession, platform: Platform, scope: WorkspaceScope, user_id: UUID) -> WorkspaceRead:
    """Hand the workspace to another member: they become owner, the caller admin.

    Raises NotFound when the user is no member, Forbidden when the caller is no longer owner, PlanLimitReached when
    the workspace has no plan of its own and the other's has no room for its people.
    """
    workspace, caller = await _locked(session, scope, "workspace.transfer")
    if user_id == caller.user_id:
        raise InvalidTransition("You own this workspace already.")
    heir = await repository.member_by_user(session, scope.workspace_id, user_id)
    if heir is None:
        raise NotFound("This user is not a member of the workspace.")
    for member, role in ((heir, Role.OWNER), (caller, Role.ADMIN)):
        await members.set_role(session, platform, scope.actor, member, role)
    _touch(workspace, platform)
    await _changed(session, platform, scope, workspace, "transferred", to_user_id=str(user_id))
    return _read(platform, workspace, caller)


async def _locked(
    session: AsyncSession, scope: WorkspaceScope, permission: str, *, deleted: bool | None = False
) -> tuple[Workspace, Member]:
    """The workspace under its lock and the caller's place as it is now, which the guard may have seen otherwise.

    `deleted=None` takes both kinds. Raises WorkspaceNotFound, or Forbidden when the role lacks the permission now.
    """
    workspace = await repository.lock_workspace(session, scope.workspace_id)
    caller = await repository.member_by_user(session, scope.workspace_id, scope.user_id)
    if workspace is None or caller is None:
        raise WorkspaceNotFound
    if deleted is not None and (workspace.deleted_at is not None) != deleted:
        raise WorkspaceNotFound
    if not allows(caller.role, permission):
        raise role_lacks(caller.role, permission)
    return workspace, caller


def _touch(workspace: Workspace, platform: Platform) -> None:
    workspace.version += 1
    workspace.updated_at = platform.clock.now()


async def _changed(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    workspace: Workspace,
    action: str,
    **details: object,
) -> None:
    audit.record(
        session,
        platform,
        scope.actor,
        f"workspace.{action}",
        subject=("workspace", workspace.id),
        workspace_id=workspace.id,
        **details,
    )
    await _announce(session, platform, scope.actor, workspace, action)


async def _announce(
    session: AsyncSession, platform: Platform, actor: Actor, workspace: Workspace, action: str
) -> None:
    await emit(
        session,
        WorkspaceChanged(
            id=platform.randomness.uuid(),
            workspace_id=workspace.id,
            action=action,
            version=workspace.version,
            actor_user_id=actor.user_id,
            actor_key_id=actor.api_key_id,
        ),
    )


async def _insert(
    session: AsyncSession, platform: Platform, name: str, slug: str, description: str | None
) -> Workspace | None:
    """None when the slug is in use, also by a request that commits at the same moment."""
    now = platform.clock.now()
    workspace: Workspace | None = await session.scalar(
        insert(Workspace)
        .values(
            id=platform.randomness.uuid(),
            name=name,
            slug=slug,
            description=description,
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing(index_elements=[Workspace.slug])
        .returning(Workspace)
    )
    return workspace


def slug_of(name: str) -> str:
    """A slug made from a name: letters without accents, digits, single hyphens."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_BASE_LENGTH].rstrip("-")
    return slug if len(slug) > 1 else FALLBACK_SLUG


def _slugs_for(name: str, platform: Platform) -> Iterator[str]:
    base = slug_of(name)
    yield base
    for _ in range(SLUG_ATTEMPTS):
        yield f"{base}-{platform.randomness.uuid().hex[-6:]}"


def _read(platform: Platform, workspace: Workspace, member: Member) -> WorkspaceRead:
    return WorkspaceRead(
        id=workspace.id,
        name=workspace.name,
        slug=workspace.slug,
        description=workspace.description,
        logo=pictures.address_of(platform, workspace.logo),
        role=Role(member.role),
        archived_at=workspace.archived_at,
        deleted_at=workspace.deleted_at,
        created_at=workspace.created_at,
        updated_at=workspace.updated_at,
        version=workspace.version,
    )
