"""Members ask for more, admins decide.

A request for a CAP that is approved raises the member's own cap by the approved amount: for the present window alone,
or for good with `lasting`. Whom only their role's cap limits gets a cap of their own, as high as the role's and the
amount together. A request for CREDITS asks that the pool get more; approving it says that an admin agrees, and moves
no credits: the pool is filled by buying credits or a plan.
"""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import pools
from pm_api.domains.ai_credits.engine import caps as rules
from pm_api.domains.ai_credits.enums import CapWindow
from pm_api.domains.ai_credits.errors import (
    NoCapToRaise,
    NothingLastingToGrant,
    PoolRequestAlreadyDecided,
    TooManyPoolRequests,
)
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditCap
from pm_api.domains.ai_credits.models.pools import CreditPoolRequest
from pm_api.domains.ai_credits.repository import pools as repository
from pm_api.domains.ai_credits.schemas.pools import (
    PoolRequestApproval,
    PoolRequestCreate,
    PoolRequestKind,
    PoolRequestRead,
    PoolRequestRefusal,
    PoolRequests,
    PoolRequestStatus,
)
from pm_api.domains.changes import service as changes
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.identity import audit
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.permissions import allows
from pm_api.identity.repository import people as identity

REQUESTS: Final = "credits.pool.requests"
MOST_OPEN: Final = 20
LINK: Final = "/credits"


async def list_of(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    page: PageRequest,
    status: PoolRequestStatus | None,
) -> PoolRequests:
    """A page of requests, newest first: who decides sees all, others their own. Raises InvalidCursor."""
    own = None if allows(scope.role, pools.MANAGE) else scope.user_id
    bound = {"workspace": scope.workspace_id, "user": own, "status": status}
    key = platform.cursors.decode(page.cursor, of=REQUESTS, **bound)
    rows = await repository.requests_of(
        session,
        scope,
        user_id=own,
        status=status,
        limit=page.limit + 1,
        before=UUID(key[0]) if key else None,
    )
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return PoolRequests(
        requests=[_read(row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=REQUESTS, **bound),
    )


async def read(session: AsyncSession, scope: WorkspaceScope, request_id: UUID) -> PoolRequestRead:
    """One request, for who decides or who asked; raises NotFound."""
    row = await repository.request(session, scope, request_id)
    if row is None or (row.user_id != scope.user_id and not allows(scope.role, pools.MANAGE)):
        raise NotFound
    return _read(row)


async def create(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: PoolRequestCreate
) -> PoolRequestRead:
    """Ask for more; who decides is told. Raises TooManyPoolRequests, NoCapToRaise."""
    workspace = await identity.lock_workspace(session, scope.workspace_id)
    if workspace is None or workspace.deleted_at is not None:
        raise WorkspaceNotFound
    if await repository.count_open_requests(session, scope) >= MOST_OPEN:
        raise TooManyPoolRequests
    if wanted.window is not None:
        await _binding_cap(session, scope.workspace_id, scope.user_id, wanted.window)
    now = platform.clock.now()
    row = CreditPoolRequest(
        id=platform.randomness.uuid(),
        workspace_id=scope.workspace_id,
        user_id=scope.user_id,
        kind=wanted.kind,
        cap_window=wanted.window,
        amount=wanted.amount,
        reason=wanted.reason,
        status=PoolRequestStatus.OPEN,
        lasting=False,
        inherited=False,
        version=1,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    name = await repository.name_of(session, scope.user_id)
    what = "under their cap" if wanted.kind is PoolRequestKind.CAP else "in the pool"
    await notifications.notify(
        session,
        platform,
        user_ids=await repository.managers(session, scope.workspace_id),
        category=Category.CREDITS,
        type="credits.pool_request",
        dedup_key=f"credits.pool_request:{row.id}",
        title=f"{name} asks for {wanted.amount} credits more {what}",
        body=wanted.reason,
        reason="You manage this workspace's credits.",
        data={"requestId": str(row.id)},
        link=LINK,
        workspace_id=scope.workspace_id,
        actor_user_id=scope.user_id,
    )
    _record(session, platform, scope, row, "created")
    return _read(row)


async def approve(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    request_id: UUID,
    wanted: PoolRequestApproval,
    expected_version: int | None,
) -> PoolRequestRead:
    """Grant what was asked for, or another amount; the member is told.

    Raises NotFound, PreconditionFailed, PoolRequestAlreadyDecided, NothingLastingToGrant, NoCapToRaise, TooManyCaps.
    """
    account = await pools.lock(session, platform, scope)
    row = await _open_request(session, scope, request_id, expected_version)
    if wanted.lasting and row.kind != PoolRequestKind.CAP:
        raise NothingLastingToGrant(details=[{"pointer": "/lasting", "detail": "only for kind CAP"}])
    row.approved_amount = wanted.amount or row.amount
    if row.kind == PoolRequestKind.CAP:
        await _raise_cap(session, platform, account, row, lasting=wanted.lasting)
    await _decide(session, platform, scope, row, PoolRequestStatus.APPROVED, wanted.note)
    return _read(row)


async def decline(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    request_id: UUID,
    wanted: PoolRequestRefusal,
    expected_version: int | None,
) -> PoolRequestRead:
    """Turn a request down; the member is told. Raises NotFound, PreconditionFailed, PoolRequestAlreadyDecided."""
    await pools.lock(session, platform, scope)
    row = await _open_request(session, scope, request_id, expected_version)
    await _decide(session, platform, scope, row, PoolRequestStatus.DECLINED, wanted.note)
    return _read(row)


async def _open_request(
    session: AsyncSession, scope: WorkspaceScope, request_id: UUID, expected_version: int | None
) -> CreditPoolRequest:
    """Read under the workspace's lock: of two who decide at once, the second finds it decided."""
    row = await repository.request(session, scope, request_id)
    if row is None:
        raise NotFound
    if row.status != PoolRequestStatus.OPEN:
        raise PoolRequestAlreadyDecided(f"This request was {row.status.lower()} already.")
    check_version(row.version, expected_version)
    return row


async def _binding_cap(
    session: AsyncSession, workspace_id: UUID, user_id: UUID, window: CapWindow
) -> tuple[CreditCap | None, int]:
    """The member's own cap, and how high the one is that limits them, if it is only their role's; raises
    NoCapToRaise.
    """
    own = await repository.cap(session, workspace_id, rules.member(user_id), window)
    if own is not None:
        return own, own.amount
    member = await identity.member_by_user(session, workspace_id, user_id)
    of_role = await repository.cap(session, workspace_id, f"role:{member.role}", window) if member else None
    if of_role is None:
        raise NoCapToRaise
    return None, of_role.amount


async def _raise_cap(
    session: AsyncSession, platform: Platform, account: CreditAccount, row: CreditPoolRequest, *, lasting: bool
) -> None:
    window = CapWindow(row.cap_window or CapWindow.PERIOD)
    moment = pools.moment_of(platform, account)
    over = await repository.raises_of(session, account.id, due_at=moment)
    await pools.take_back(session, account, over, moment)
    own, limit = await _binding_cap(session, row.workspace_id, row.user_id, window)
    raised_to = limit + (row.approved_amount or 0)
    if own is None:
        await pools.add_cap(session, account, rules.member(row.user_id), window, raised_to, moment)
    else:
        own.amount = raised_to
        own.version += 1
        own.updated_at = moment
    row.lasting = lasting
    if lasting:
        # The cap is the member's for good now: what was granted on top of the role's no longer takes it along.
        for other in await repository.raises_of(session, account.id, user_id=row.user_id, window=window):
            other.inherited = False
        return
    row.raised_until = pools.window_of(account, window, moment)[1]
    row.inherited = own is None
    counter = pools.counter_after(row)
    await repository.charge_counter(session, account.id, counter, row.approved_amount or 0)


async def _decide(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    row: CreditPoolRequest,
    status: PoolRequestStatus,
    note: str | None,
) -> None:
    now = platform.clock.now()
    row.status = status
    row.decided_by_user_id = scope.user_id
    row.decided_at = now
    row.note = note
    row.version += 1
    row.updated_at = now
    await session.flush()
    title, body = _told(row, status)
    await notifications.notify(
        session,
        platform,
        user_ids=[row.user_id],
        category=Category.CREDITS,
        type="credits.pool_request_decided",
        dedup_key=f"credits.pool_request_decided:{row.id}",
        title=title,
        body="\n".join(part for part in (note, body) if part),
        reason="You asked for it.",
        data={"requestId": str(row.id)},
        link=LINK,
        workspace_id=scope.workspace_id,
        actor_user_id=scope.user_id,
    )
    audit.record(
        session,
        platform,
        scope.actor,
        f"credits.pool_request_{status.lower()}",
        subject=("credit_pool_request", row.id),
        workspace_id=scope.workspace_id,
        amount=row.approved_amount,
        lasting=row.lasting,
    )
    _record(session, platform, scope, row, status.lower())


def _told(row: CreditPoolRequest, status: PoolRequestStatus) -> tuple[str, str]:
    """(title, body) of what the member is told beside the admin's note."""
    if status is not PoolRequestStatus.APPROVED:
        return "Your request was declined", ""
    if row.kind == PoolRequestKind.CAP:
        return f"Your request was approved: {row.approved_amount} credits more", ""
    return (
        f"An admin agreed that the pool needs {row.approved_amount} credits more",
        "Nothing was added by this: the pool is filled by buying credits or a plan.",
    )


def _record(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, row: CreditPoolRequest, action: str
) -> None:
    """In the feed of who asked: the others of the workspace need not know."""
    changes.record(
        session,
        platform,
        entity="credit_pool_request",
        entity_id=UUID(int=row.id.int),
        action=action,
        version=row.version,
        user_ids=[UUID(int=row.user_id.int)],
        actor_user_id=scope.user_id,
    )


def _read(row: CreditPoolRequest) -> PoolRequestRead:
    return PoolRequestRead(
        id=row.id,
        workspace_id=row.workspace_id,
        user_id=row.user_id,
        kind=PoolRequestKind(row.kind),
        window=CapWindow(row.cap_window) if row.cap_window else None,
        amount=row.amount,
        reason=row.reason,
        status=PoolRequestStatus(row.status),
        approved_amount=row.approved_amount,
        lasting=row.lasting,
        raised_until=row.raised_until,
        decided_by_user_id=row.decided_by_user_id,
        decided_at=row.decided_at,
        note=row.note,
        created_at=row.created_at,
        version=row.version,
    )
