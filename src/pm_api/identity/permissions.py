"""Role → permission, one dict. A guard names a permission; a role has it or has not."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    VIEWER = "VIEWER"


RANK: Final = {Role.VIEWER: 0, Role.MEMBER: 1, Role.ADMIN: 2, Role.OWNER: 3}

_VIEWER: Final = frozenset({"workspace.read", "member.read", "credits.read"})
_MEMBER: Final = _VIEWER | {"credits.spend"}
_ADMIN: Final = _MEMBER | {"workspace.update", "member.manage", "audit.read", "credits.verify"}
_OWNER: Final = _ADMIN | {"workspace.delete", "workspace.transfer"}

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
