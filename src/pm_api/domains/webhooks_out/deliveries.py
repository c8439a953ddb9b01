"""The log of an endpoint: what was sent or waits, tests, and what is sent again."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.core.ratelimit import Policy
from pm_api.domains.webhooks_out import repository, service
from pm_api.domains.webhooks_out.enums import DeliveryStatus
from pm_api.domains.webhooks_out.models import WebhookAttempt, WebhookDelivery
from pm_api.domains.webhooks_out.rules import KEPT_TRYING
from pm_api.domains.webhooks_out.schemas import (
    WebhookAttemptRead,
    WebhookDeliveriesAnswer,
    WebhookDeliveryListed,
    WebhookDeliveryRead,
    WebhookDeliveryWithAttempts,
)
from pm_api.identity import audit

TESTED: Final = "tested"
TESTS: Final = Policy("webhook-test", "30/minute")


async def count_test(platform: Platform, scope: WorkspaceScope) -> None:
    """Count a test that is about to be sent: each is a request to an address of the caller's choice. Raises
    TooManyRequests. Before any transaction: the counters may be over the network.
    """
    await platform.limiter.hit(TESTS, scope.actor.person)


async def send_test(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, endpoint_id: UUID
) -> WebhookDeliveryWithAttempts:
    """Puts a webhook of the type `webhook_endpoint.tested`, to be sent at once; raises NotFound and
    WebhookEndpointDisabled.
    """
    row = await service.locked(session, scope, endpoint_id, None)
    now = platform.clock.now()
    delivery = WebhookDelivery(
        id=platform.randomness.uuid(),
        workspace_id=row.workspace_id,
        endpoint_id=row.id,
        position=None,
        entity=service.ENTITY,
        entity_id=row.id,
        action=TESTED,
        entity_version=row.version,
        actor_user_id=scope.user_id,
        occurred_at=now,
        in_order=False,
        status=DeliveryStatus.PENDING,
        attempts=0,
        failures=0,
        due_at=now,
        try_until=now,
        created_at=now,
    )
    session.add(delivery)
    await service.soon(session, platform, row)
    audit.record(
        session,
        platform,
        scope.actor,
        f"{service.ENTITY}.{TESTED}",
        subject=(service.ENTITY, row.id),
        workspace_id=scope.workspace_id,
        delivery_id=str(delivery.id),
    )
    return _with_tries(delivery, [])


async def replay(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, delivery_id: UUID
) -> WebhookDeliveryWithAttempts:
    """Send a delivery again under its id, for three days if need be; one that waits is tried at once.

    What comes after it does not wait for it. Raises NotFound and WebhookEndpointDisabled.
    """
    found = await repository.delivery(session, scope, delivery_id)
    if found is None:
        raise NotFound
    row = await service.locked(session, scope, found.endpoint_id, None)
    # The endpoint's lock comes first, as in sending; what stands in the delivery is read under it.
    delivery = (await repository.lock_deliveries(session, [delivery_id])).get(UUID(str(delivery_id)))
    if delivery is None:
        raise NotFound
    now = platform.clock.now()
    if delivery.status != DeliveryStatus.PENDING:
        delivery.status = DeliveryStatus.PENDING
        delivery.in_order = False
        delivery.failures = 0
        delivery.finished_at = delivery.outcome = None
        delivery.try_until = now + KEPT_TRYING
    delivery.due_at = now
    await service.soon(session, platform, row)
    audit.record(
        session,
        platform,
        scope.actor,
        "webhook_delivery.replayed",
        subject=("webhook_delivery", delivery.id),
        workspace_id=scope.workspace_id,
    )
    return _with_tries(delivery, await repository.tries(session, scope, delivery_id))


async def list_of(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    endpoint_id: UUID,
    page: PageRequest,
    status: DeliveryStatus | None,
) -> WebhookDeliveriesAnswer:
    """A page of an endpoint's log, newest first; raises NotFound."""
    await service.get(session, scope, endpoint_id)
    filters = {"endpoint": endpoint_id, "status": status}
    key = platform.cursors.decode(page.cursor, of="webhook_deliveries", **filters)
    rows = await repository.deliveries(
        session,
        scope,
        endpoint_id,
        status=status,
        limit=page.limit + 1,
        after=UUID(key[0]) if key else None,
    )
    shown = rows[: page.limit]
    following = (shown[-1][0].id,) if len(rows) > page.limit else None
    return WebhookDeliveriesAnswer(
        webhook_deliveries=[_listed(*row) for row in shown],
        next_cursor=platform.cursors.encode(following, of="webhook_deliveries", **filters),
    )


async def get(session: AsyncSession, scope: WorkspaceScope, delivery_id: UUID) -> WebhookDeliveryWithAttempts:
    """One delivery with its tries; raises NotFound."""
    row = await repository.delivery(session, scope, delivery_id)
    if row is None:
        raise NotFound
    return _with_tries(row, await repository.tries(session, scope, delivery_id))


def _fields(row: WebhookDelivery) -> dict[str, object]:
    """What is the row's own, and what is read out of it."""
    named = {name: getattr(row, name, None) for name in WebhookDeliveryRead.model_fields}
    is_over = row.status != DeliveryStatus.PENDING
    return {
        **named,
        "webhook_endpoint_id": row.endpoint_id,
        "type": f"{row.entity}.{row.action}",
        "due_at": None if is_over else row.due_at,
    }


def _listed(row: WebhookDelivery, last: WebhookAttempt | None) -> WebhookDeliveryListed:
    return WebhookDeliveryListed.model_validate(
        {**_fields(row), "last_try": None if last is None else WebhookAttemptRead.model_validate(last)}
    )


def _with_tries(row: WebhookDelivery, tries: Sequence[WebhookAttempt]) -> WebhookDeliveryWithAttempts:
    return WebhookDeliveryWithAttempts.model_validate(
        {**_fields(row), "tries": [WebhookAttemptRead.model_validate(one) for one in tries]}
    )
