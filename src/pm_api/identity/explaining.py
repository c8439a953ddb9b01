"""Why somebody may do something, or may not: the decision of a guard and of the rank rule, put into words.

It reads the same dict of permissions and the same ranks that guards and services go by.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.errors import NotFound, Unprocessable
from pm_api.identity.permissions import PERMISSIONS, RANK, Role, allows, may_manage
from pm_api.identity.repository import people as repository
from pm_api.identity.schemas.audit import PermissionRead, PermissionRule

ACCOUNT: Final = "account"
RESOURCES: Final = {
    "workspace": "workspaces",
    "member": "workspace_members",
    "invitation": "invitations",
    "apiKey": "api_keys",
    "project": "projects",
    "webhookEndpoint": "webhook_endpoints",
    "webhookDelivery": "webhook_deliveries",
    "creditHold": "credit_holds",
    "creditEntry": "credit_entries",
    "creditGift": "credit_gifts",
    "creditPoolRequest": "credit_pool_requests",
    "creditRefundRequest": "credit_refund_requests",
    "checkout": "checkout_sessions",
    "invoice": "invoices",
    "paymentMethod": "payment_methods",
    "topUp": "topup_payments",
}
"""What a resource is called on the wire, and the table its row stands in."""
OF_AN_ACCOUNT: Final = frozenset(RESOURCES) - {
    *("workspace", "member", "invitation", "project", "creditPoolRequest", "webhookEndpoint", "webhookDelivery"),
}
"""Rows that belong to an account: a person's own, or a workspace's."""
ACTIONS: Final = frozenset().union(*PERMISSIONS.values())
ABOUT_ACCOUNTS: Final = ("credits.", "billing.", "api_key.")
MANAGE: Final = "member.manage"
LEAVE: Final = "member.leave"
RESTORE: Final = "workspace.restore"
YOU_ARE_THE_LAST: Final = "You are the last owner here. Make somebody else owner first, or delete the workspace."


class UnknownPermission(Unprocessable):
    """`action` is no permission, or `resource` is not written as `<kind>:<id>`; the detail says what there is."""

    code = "unknown_permission"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row belongs, and the caller's role there; no workspace for what is the caller's own."""

    workspace_id: UUID | None
    role: Role | None


async def explain(session: AsyncSession, scope: UserScope, resource: str, action: str) -> PermissionRead:
    """Whether the caller may do this to that, by which rule, and what would grant it. Raises UnknownPermission, and
    NotFound for what the caller may not know of.
    """
    if action not in ACTIONS:
        raise UnknownPermission(f"action is one of {', '.join(sorted(ACTIONS))}.")
    kind, row_id = _parsed(resource)
    place = _Place(None, None) if row_id is None else await _place(session, scope, kind, row_id, action)
    if place.role is None:
        return _own(resource, action)
    if kind == "member" and row_id is not None and action in (MANAGE, LEAVE):
        return await _of_member(session, scope, resource, action, place, row_id)
    return _by_role(resource, action, place)


def _parsed(resource: str) -> tuple[str, UUID | None]:
    kind, _, name = resource.partition(":")
    if resource == ACCOUNT:
        return ACCOUNT, None
    try:
        if kind in RESOURCES:
            return kind, UUID(name)
    except ValueError:
        pass
    raise UnknownPermission(f"resource is `{ACCOUNT}`, or <kind>:<id> with one of {', '.join(sorted(RESOURCES))}.")


async def _place(session: AsyncSession, scope: UserScope, kind: str, row_id: UUID, action: str) -> _Place:
    """As a guard finds it; raises NotFound."""
    table, circle = RESOURCES[kind], None
    workspace_id: UUID | None
    if kind == "workspace":
        workspace_id = row_id
    elif kind in OF_AN_ACCOUNT:
        workspace_id = await repository.account_of_row(session, table, row_id)
    else:
        owner = await repository.owner_of_row(session, table, row_id)
        workspace_id, circle = owner if owner is not None else (None, None)
    if workspace_id is None:
        raise NotFound
    if kind in OF_AN_ACCOUNT and workspace_id == scope.user_id:
        return _Place(None, None)
    found = await repository.role_in(session, workspace_id, scope.user_id)
    if found is None or (found[1] is not None and action != RESTORE):
        raise NotFound
    role: Role | None = Role(found[0])
    if circle is not None:
        role = await repository.role_in_scope(session, circle, scope.user_id, found[0])
    if role is None:
        raise NotFound
    return _Place(workspace_id, role)


def _own(resource: str, action: str) -> PermissionRead:
    fits = action.startswith(ABOUT_ACCOUNTS)
    return PermissionRead(
        resource=resource,
        action=action,
        allowed=fits,
        rule=PermissionRule.OWN_ACCOUNT if fits else PermissionRule.NOT_APPLICABLE,
        because="It is your own account." if fits else f"{action} is about workspaces, and this is your own account.",
        workspace_id=None,
        role=None,
        granted_to=[],
        would_grant=None,
        granted_by=[],
    )


def _by_role(resource: str, action: str, place: _Place) -> PermissionRead:
    assert place.role is not None
    allowed = allows(place.role, action)
    return _explained(
        resource,
        action,
        place,
        allowed=allowed,
        rule=PermissionRule.ROLE,
        because=f"Your role here, {place.role}, {'includes' if allowed else 'does not include'} {action}.",
        granted_to=[one for one in Role if allows(one, action)],
    )


async def _of_member(
    session: AsyncSession, scope: UserScope, resource: str, action: str, place: _Place, member_id: UUID
) -> PermissionRead:
    """Over one member two rules stand: the role must have the permission, and the rank must be above theirs."""
    assert place.role is not None
    assert place.workspace_id is not None
    found = await repository.member_by_id(session, place.workspace_id, member_id)
    if found is None:
        raise NotFound
    member = found[0]
    if action == LEAVE and member.user_id == scope.user_id:
        is_last = member.role == Role.OWNER and await repository.count_owners(session, place.workspace_id) == 1
        return _explained(
            resource,
            action,
            place,
            allowed=not is_last,
            rule=PermissionRule.OWN_MEMBERSHIP,
            because=YOU_ARE_THE_LAST if is_last else "Everybody may leave, except the last owner.",
            granted_to=[one for one in Role if not is_last or one is not Role.OWNER],
        )
    manages = allows(place.role, MANAGE)
    allowed = manages and may_manage(place.role, member.role)
    if not manages:
        because = f"Your role here, {place.role}, does not include {MANAGE}."
    elif allowed:
        because = f"Your role here, {place.role}, includes {MANAGE}, and you may manage a {member.role}."
    else:
        because = f"They are {member.role}: only an owner changes or removes somebody of your own rank or above."
    return _explained(
        resource,
        action,
        place,
        allowed=allowed,
        rule=PermissionRule.RANK if manages else PermissionRule.ROLE,
        because=because,
        granted_to=[one for one in Role if allows(one, MANAGE) and may_manage(one, member.role)],
    )


def _explained(
    resource: str,
    action: str,
    place: _Place,
    *,
    allowed: bool,
    rule: PermissionRule,
    because: str,
    granted_to: list[Role],
) -> PermissionRead:
    assert place.role is not None
    rising = sorted(granted_to, key=lambda one: RANK[one])
    needed = None if allowed else next((one for one in rising if RANK[one] > RANK[place.role]), None)
    return PermissionRead(
        resource=resource,
        action=action,
        allowed=allowed,
        rule=rule,
        because=because,
        workspace_id=place.workspace_id,
        role=place.role,
        granted_to=rising,
        would_grant=needed,
        granted_by=[
            one
            for one in sorted(Role, key=lambda role: RANK[role])
            if needed is not None and may_manage(one, place.role, needed)
        ],
    )
