"""Role → permission, one dict. A guard names a permission; a role has it or has not."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    VIEWER = "VIEWER"
    GUEST = "GUEST"
    """A member of single projects alone: what they may do there is told by their role in each."""


RANK: Final = {Role.GUEST: 0, Role.VIEWER: 1, Role.MEMBER: 2, Role.ADMIN: 3, Role.OWNER: 4}

_GUEST: Final = frozenset(
    {
        *("workspace.read", "member.leave", "project.read", "task.read", "message.read", "calendar.read"),
        *("file.read", "search.read"),
    }
)
_VIEWER: Final = _GUEST | {"member.read", "credits.read"}
_MEMBER: Final = _VIEWER | {
    *("credits.spend", "member.message"),
    *("project.create", "task.write", "message.write", "calendar.write", "file.write"),
}
_ADMIN: Final = _MEMBER | {
    *("project.manage", "task.manage", "message.manage", "calendar.manage", "file.manage"),
    *("workspace.update", "workspace.archive", "member.manage", "audit.read"),
    *("credits.verify", "credits.manage"),
    *("billing.read", "billing.manage"),
    "api_key.manage",
    "webhook.manage",
}
_OWNER: Final = _ADMIN | {"workspace.delete", "workspace.restore", "workspace.transfer"}

PERMISSIONS: Final[dict[Role, frozenset[str]]] = {
    Role.GUEST: _GUEST,
    Role.VIEWER: _VIEWER,
    Role.MEMBER: _MEMBER,
    Role.ADMIN: _ADMIN,
    Role.OWNER: _OWNER,
}


class KeyScope(StrEnum):
    """What an API key may be given: reading or writing, area by area. Writing includes reading."""

    PROFILE_READ = "profile:read"
    PROFILE_WRITE = "profile:write"
    WORKSPACE_READ = "workspace:read"
    WORKSPACE_WRITE = "workspace:write"
    MEMBER_READ = "member:read"
    MEMBER_WRITE = "member:write"
    CREDITS_READ = "credits:read"
    CREDITS_WRITE = "credits:write"
    BILLING_READ = "billing:read"
    BILLING_WRITE = "billing:write"
    AUDIT_READ = "audit:read"
    NOTIFICATION_READ = "notification:read"
    NOTIFICATION_WRITE = "notification:write"
    PROJECT_READ = "project:read"
    PROJECT_WRITE = "project:write"
    TASK_READ = "task:read"
    TASK_WRITE = "task:write"
    MESSAGE_READ = "message:read"
    MESSAGE_WRITE = "message:write"
    CALENDAR_READ = "calendar:read"
    CALENDAR_WRITE = "calendar:write"
    FILE_READ = "file:read"
    FILE_WRITE = "file:write"
    SEARCH_READ = "search:read"


FOR_PEOPLE_ALONE: Final = frozenset({"api_key.manage", "webhook.manage"})
"""Permissions that no scope gives: what a stolen key would be used for to stay."""

_READING: Final = frozenset({"read", "verify"})


def scope_of_permission(permission: str) -> KeyScope | None:
    """The scope a key needs to use a permission of its maker; None: no key may."""
    if permission in FOR_PEOPLE_ALONE:
        return None
    area, _, act = permission.partition(".")
    wanted = f"{area}:{'read' if act in _READING else 'write'}"
    return KeyScope(wanted) if wanted in set(KeyScope) else None


def scope_allows(scopes: Collection[str], needed: KeyScope) -> bool:
    """Whether a key has a scope, or the one for writing that includes it."""
    return needed in scopes or f"{needed.partition(':')[0]}:write" in scopes


def allows(role: Role | str, permission: str) -> bool:
    return permission in PERMISSIONS[Role(role)]


def standing_in_scope(role: Role, *, is_open: bool, is_member: bool, own_role: str | None) -> Role | None:
    """What a workspace's member is within a scope: administrators what they are, others what the scope says of them,
    if it says anything. None: they do not see it.
    """
    if not is_member and (role is Role.GUEST or not is_open):
        return None
    if own_role is not None and RANK[role] < RANK[Role.ADMIN]:
        return Role(own_role)
    return Role.VIEWER if role is Role.GUEST else role


def outranks(actor: Role | str, other: Role | str) -> bool:
    """Whether the first role stands strictly above the second."""
    return RANK[Role(actor)] > RANK[Role(other)]


def roles_up_to(role: Role | None) -> frozenset[Role]:
    """A role and those below it; all of them without one."""
    return frozenset(one for one in Role if role is None or RANK[one] <= RANK[role])


def may_manage(actor: Role | str, member: Role | str, new_role: Role | str | None = None) -> bool:
    """Whether the first role may remove the member, or give it the new role: an owner may all; an admin manages
    those below admin and grants nothing above admin.
    """
    if Role(actor) is Role.OWNER:
        return True
    below = allows(actor, "member.manage") and outranks(actor, member)
    return below and (new_role is None or not outranks(new_role, actor))
