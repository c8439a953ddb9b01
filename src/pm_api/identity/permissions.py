"""Role → permission, one dict. A guard names a permission; a role has it or has not."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    VIEWER = "VIEWER"


RANK: Final = {Role.VIEWER: 0, Role.MEMBER: 1, Role.ADMIN: 2, Role.OWNER: 3}

_VIEWER: Final = frozenset({"workspace.read", "member.read", "member.leave", "credits.read"})
_MEMBER: Final = _VIEWER | {"credits.spend"}
_ADMIN: Final = _MEMBER | {
    *("workspace.update", "workspace.archive", "member.manage", "audit.read"),
    *("credits.verify", "credits.manage"),
    *("billing.read", "billing.manage"),
}
_OWNER: Final = _ADMIN | {"workspace.delete", "workspace.restore", "workspace.transfer"}

PERMISSIONS: Final[dict[Role, frozenset[str]]] = {
    Role.VIEWER: _VIEWER,
    Role.MEMBER: _MEMBER,
    Role.ADMIN: _ADMIN,
    Role.OWNER: _OWNER,
}


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
