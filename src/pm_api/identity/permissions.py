"""Role → permission, one dict. A guard names a permission; a role has it or has not."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    VIEWER = "VIEWER"


RANK: Final = {Role.VIEWER: 0, Role.MEMBER: 1, Role.ADMIN: 2, Role.OWNER: 3}

_VIEWER: Final = frozenset({"workspace.read", "member.read", "member.leave", "credits.read"})
_MEMBER: Final = _VIEWER | {"credits.spend", "member.message"}
_ADMIN: Final = _MEMBER | {
    *("workspace.update", "workspace.archive", "member.manage", "audit.read"),
    *("credits.verify", "credits.manage"),
    *("billing.read", "billing.manage"),
    "api_key.manage",
    "webhook.manage",
}
_OWNER: Final = _ADMIN | {"workspace.delete", "workspace.restore", "workspace.transfer"}

PERMISSIONS: Final[dict[Role, frozenset[str]]] = {
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


def outranks(actor: Role | str, other: Role | str) -> bool:
    """Whether the first role stands strictly above the second."""
    return RANK[Role(actor)] > RANK[Role(other)]


def may_manage(actor: Role | str, member: Role | str, new_role: Role | str | None = None) -> bool:
    """Whether the first role may remove the member, or give it the new role: an owner may all; an admin manages
    those below admin and grants nothing above admin.
    """
    if Role(actor) is Role.OWNER:
        return True
    below = allows(actor, "member.manage") and outranks(actor, member)
    return below and (new_role is None or not outranks(new_role, actor))
