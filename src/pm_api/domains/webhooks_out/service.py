"""Rules of webhook endpoints: who is told what, by which secret, and what has become of it."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import signals
from pm_api.core.actor import Actor, SystemScope, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.webhooks_out import repository, signing
from pm_api.domains.webhooks_out.enums import DeliveryStatus, DisabledReason
from pm_api.domains.webhooks_out.errors import (
    TooManyWebhookEndpoints,
    WebhookEndpointDisabled,
    WebhookUrlRefused,
)
from pm_api.domains.webhooks_out.models import WebhookEndpoint
from pm_api.domains.webhooks_out.rules import KEPT_TRYING
from pm_api.domains.webhooks_out.schemas import (
    WebhookEndpointCreate,
    WebhookEndpointRead,
    WebhookEndpointsAnswer,
    WebhookEndpointUpdate,
)
from pm_api.identity import audit
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.permissions import Role
from pm_api.identity.repository import people as identity
from pm_api.integrations.outgoing import OutgoingDoor, TargetRefused

CHANNEL: Final = "pm_webhooks"
"""Signalled with a workspace's id when one of its endpoints has something to do that no change announces."""
MOST_ENDPOINTS: Final = 20
ENTITY: Final = "webhook_endpoint"
SEALED_FOR: Final = "webhooks_out.secret"
READING: Final = SystemScope("webhooks_out")


# --- endpoints -----------------------------------------------------------------------------------------------------


async def create(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: WebhookEndpointCreate
) -> tuple[WebhookEndpointRead, str]:
    """A new endpoint, told of what changes from now on, and its secret.

    Raises WebhookUrlRefused, TooManyWebhookEndpoints, and WorkspaceNotFound for one deleted since the guard looked.
    """
    _check(platform, wanted.url)
    workspace = await identity.lock_workspace(session, scope.workspace_id)
    if workspace is None or workspace.deleted_at is not None:
        raise WorkspaceNotFound
    if await repository.count_endpoints(session, scope) >= MOST_ENDPOINTS:
        raise TooManyWebhookEndpoints
    endpoint_id, secret = platform.randomness.uuid(), signing.new_secret(platform.randomness)
    now = platform.clock.now()
    row = WebhookEndpoint(
        id=endpoint_id,
        workspace_id=scope.workspace_id,
        url=wanted.url,
        description=wanted.description,
        events=wanted.events,
        is_enabled=True,
        sealed_secret=seal(platform, endpoint_id, secret),
        position=await _present(session, scope),
        is_full=False,
        failures=0,
        created_by_user_id=scope.user_id,
        version=1,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    _note(session, platform, scope, row, "created")
    return _read(row), signing.written_secret(secret)


async def list_of(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, page: PageRequest
) -> WebhookEndpointsAnswer:
    """A page of the workspace's endpoints, newest first."""
    key = platform.cursors.decode(page.cursor, of="webhook_endpoints", workspace=scope.workspace_id)
    rows = await repository.endpoints(session, scope, limit=page.limit + 1, after=UUID(key[0]) if key else None)
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return WebhookEndpointsAnswer(
        webhook_endpoints=[_read(row) for row in shown],
        next_cursor=platform.cursors.encode(following, of="webhook_endpoints", workspace=scope.workspace_id),
    )


async def get(session: AsyncSession, scope: WorkspaceScope, endpoint_id: UUID) -> WebhookEndpointRead:
    """One endpoint; raises NotFound."""
    row = await repository.endpoint(session, scope, endpoint_id)
    if row is None:
        raise NotFound
    return _read(row)


async def update(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    endpoint_id: UUID,
    change: WebhookEndpointUpdate,
    expected_version: int | None,
) -> WebhookEndpointRead:
    """Change the fields sent; raises NotFound, PreconditionFailed and WebhookUrlRefused.

    Another address is tried at once, with all that waits. Events hold for what is read from the feed from now on.
    """
    row = await locked(session, scope, endpoint_id, expected_version)
    changed = False
    if change.url is not None and change.url != row.url:
        _check(platform, change.url)
        row.url = change.url
        await _begin_anew(session, platform, row)
        changed = True
    if change.events is not None and change.events != row.events:
        row.events = change.events
        changed = True
    if "description" in change.model_fields_set and (change.description or "") != row.description:
        row.description = change.description or ""
        changed = True
    if change.enabled is not None and change.enabled != row.is_enabled:
        if change.enabled:
            await _enable(session, platform, scope, row, catch_up=change.catch_up)
        else:
            disable(platform, row, DisabledReason.BY_MEMBER)
        changed = True
    if changed:
        await _changed(session, platform, scope, row, "updated")
    return _read(row)


async def delete(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, endpoint_id: UUID, expected_version: int | None
) -> None:
    """Nothing is sent there any more; its log is forgotten soon. Raises NotFound and PreconditionFailed."""
    row = await locked(session, scope, endpoint_id, expected_version)
    end(platform, row)
    await _changed(session, platform, scope, row, "deleted")


async def rotate_secret(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    endpoint_id: UUID,
    overlap_h: int,
    expected_version: int | None,
) -> tuple[WebhookEndpointRead, str]:
    """A new secret, beside which the one before signs for so many hours of real time; one older than that is gone.

    Raises NotFound and PreconditionFailed.
    """
    row = await locked(session, scope, endpoint_id, expected_version)
    secret = signing.new_secret(platform.randomness)
    if overlap_h:
        row.sealed_previous_secret = row.sealed_secret
        row.previous_secret_until = platform.clock.wall() + timedelta(hours=overlap_h)
    else:
        row.sealed_previous_secret = row.previous_secret_until = None
    row.sealed_secret = seal(platform, row.id, secret)
    await _changed(session, platform, scope, row, "secret_rotated")
    return _read(row), signing.written_secret(secret)


# --- shared with the log and with sending --------------------------------------------------------------------------


async def locked(
    session: AsyncSession, scope: WorkspaceScope, endpoint_id: UUID, expected_version: int | None
) -> WebhookEndpoint:
    """For a change; raises NotFound and PreconditionFailed."""
    row = await repository.lock_endpoint(session, scope, endpoint_id)
    if row is None:
        raise NotFound
    check_version(row.version, expected_version)
    return row


async def soon(session: AsyncSession, platform: Platform, row: WebhookEndpoint) -> None:
    """Something is to be sent at once; raises WebhookEndpointDisabled."""
    if not row.is_enabled:
        raise WebhookEndpointDisabled
    row.due_at = platform.clock.now()
    await session.flush()
    await signals.publish(session, CHANNEL, str(row.workspace_id))


def disable(platform: Platform, row: WebhookEndpoint, reason: DisabledReason) -> None:
    """What waits goes on waiting: it is sent when somebody enables the endpoint to catch up."""
    row.is_enabled = False
    row.disabled_at = platform.clock.now()
    row.disabled_reason = reason
    row.due_at = row.paused_until = None


def end(platform: Platform, row: WebhookEndpoint) -> None:
    """For good: what opened its signatures is gone with it."""
    if row.is_enabled:
        disable(platform, row, DisabledReason.BY_MEMBER)
    row.deleted_at = platform.clock.now()
    row.sealed_secret = b""
    row.sealed_previous_secret = row.previous_secret_until = None


def touch(session: AsyncSession, platform: Platform, row: WebhookEndpoint, action: str, actor: Actor) -> None:
    """Count a change of an endpoint, and tell the workspace of it."""
    row.version += 1
    row.updated_at = platform.clock.now()
    _announce(session, platform, row, action, actor)


def seal(platform: Platform, endpoint_id: UUID, secret: bytes) -> bytes:
    """Bound to its row: a secret copied into another one does not open."""
    return platform.keys.seal(SEALED_FOR, secret, str(endpoint_id).encode())


def secrets_of(platform: Platform, row: WebhookEndpoint) -> list[bytes]:
    """Those that sign now, the newest first."""
    sealed = [row.sealed_secret]
    if row.sealed_previous_secret is not None and platform.clock.wall() < (
        row.previous_secret_until or row.created_at
    ):
        sealed.append(row.sealed_previous_secret)
    return [platform.keys.open(SEALED_FOR, one, str(row.id).encode()) for one in sealed]


# --- inside --------------------------------------------------------------------------------------------------------


def _check(platform: Platform, url: str) -> None:
    try:
        platform.part(OutgoingDoor).check(url)
    except TargetRefused as refused:
        raise WebhookUrlRefused(refused.reason, details=[{"pointer": "/url", "detail": refused.reason}]) from None


async def _present(session: AsyncSession, scope: WorkspaceScope) -> int:
    return (await changes.positions_of(session, READING, [scope.workspace_id]))[scope.workspace_id]


async def _enable(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, row: WebhookEndpoint, *, catch_up: bool
) -> None:
    now = platform.clock.now()
    row.is_enabled = True
    row.disabled_at = row.disabled_reason = None
    if not catch_up:
        await repository.finish_pending(
            session, row.id, now, DeliveryStatus.SKIPPED, outcome="the endpoint began anew"
        )
        row.position = await _present(session, scope)
        row.is_full = False
    await _begin_anew(session, platform, row)


async def _begin_anew(session: AsyncSession, platform: Platform, row: WebhookEndpoint) -> None:
    now = platform.clock.now()
    await repository.renew_pending(session, row.id, now, now + KEPT_TRYING)
    row.failures = 0
    row.failing_since = row.paused_until = None
    if row.is_enabled:
        row.due_at = now


async def _changed(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, row: WebhookEndpoint, action: str
) -> None:
    row.version += 1
    row.updated_at = platform.clock.now()
    await session.flush()
    _note(session, platform, scope, row, action)
    await signals.publish(session, CHANNEL, str(row.workspace_id))


def _note(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, row: WebhookEndpoint, action: str
) -> None:
    audit.record(
        session,
        platform,
        scope.actor,
        f"{ENTITY}.{action}",
        subject=(ENTITY, row.id),
        workspace_id=row.workspace_id,
    )
    _announce(session, platform, row, action, scope.actor)


def _announce(session: AsyncSession, platform: Platform, row: WebhookEndpoint, action: str, actor: Actor) -> None:
    changes.record(
        session,
        platform,
        workspace_id=row.workspace_id,
        entity=ENTITY,
        entity_id=row.id,
        action=action,
        version=row.version,
        least_role=Role.ADMIN,
        actor_user_id=actor.user_id,
    )


def _read(row: WebhookEndpoint) -> WebhookEndpointRead:
    return WebhookEndpointRead.model_validate(
        {
            **{name: getattr(row, name) for name in WebhookEndpointRead.model_fields if name != "enabled"},
            "enabled": row.is_enabled,
        }
    )
