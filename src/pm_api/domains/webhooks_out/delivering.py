"""Whose turn it is, what is sent, and what becomes of it: what stands in the tables before and after a request.

An endpoint is claimed for a time by one worker, who reads on in the feed, takes what may be sent, and settles it. A
claim outlives the longest request; a worker who dies leaves it to lapse, and what was not settled is sent again under
the same ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.changes.service import ChangePage
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.domains.webhooks_out import repository, rules, service
from pm_api.domains.webhooks_out.enums import DeliveryStatus, DisabledReason
from pm_api.domains.webhooks_out.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

WINDOW: Final = 1000
"""So many deliveries of an endpoint wait in the table; the others wait in the feed."""
READ_AT_ONCE: Final = 200
SENT_AT_ONCE: Final = 100
SENDING_S: Final = 20.0
"""No request of a batch begins later than that."""
CLAIM_MARGIN_S: Final = 30.0
DISABLED_AFTER: Final = timedelta(days=5)
STANDINGS_PAGE: Final = 1000
WORKING: Final = SystemScope("webhooks_out")
LINK: Final = "/settings/webhooks"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """An endpoint in the hands of one worker."""

    endpoint_id: UUID
    claimed_by: UUID


@dataclass(frozen=True, slots=True)
class Parcel:
    """One delivery to be sent. Those of one chain are sent one after the other, as far as they arrive."""

    delivery_id: UUID
    chain: tuple[object, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """What is sent now to one address, and the secrets that sign it. It may be empty while there is more to read."""

    url: str
    secrets: Sequence[bytes] = field(repr=False)
    parcels: Sequence[Parcel]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try. `error` is None when it arrived; `is_away` speaks of the receiver as a whole."""

    error: str | None
    status_code: int | None = None
    duration_ms: int | None = None
    answer: str | None = None
    is_away: bool = False
    retry_after_s: int | None = None

    @property
    def is_gone(self) -> bool:
        return self.status_code == rules.GONE


async def claim(session: AsyncSession, platform: Platform, endpoint_id: UUID) -> Claim | None:
    """Take an endpoint; None when another worker has it, or nothing is sent there any more."""
    row = await repository.lock_unclaimed(session, WORKING, endpoint_id, platform.clock.wall())
    if row is None:
        return None
    row.claimed_by = platform.randomness.uuid()
    row.claimed_until = _claim_end(platform)
    return Claim(endpoint_id, row.claimed_by)


def _claim_end(platform: Platform) -> datetime:
    longest = SENDING_S + 2 * platform.settings.webhooks.timeout_s
    return platform.clock.wall() + timedelta(seconds=longest + CLAIM_MARGIN_S)


async def take(session: AsyncSession, platform: Platform, claimed: Claim) -> Batch | None:
    """Read on in the feed and take what may be sent now; None gives the endpoint back.

    Committed before anything is sent: it makes the claim last longer than what is sent.
    """
    row = await repository.lock_claimed(session, WORKING, claimed.endpoint_id, claimed.claimed_by)
    if row is None:
        return None
    if not row.is_enabled:
        _put_down(row)
        return None
    has_more = await _read_on(session, platform, row)
    found = await _sendable(session, platform, row)
    if not found and not has_more:
        await _put_back(session, row)
        return None
    row.claimed_until = _claim_end(platform)
    row.due_at = platform.clock.now()  # so that it is found, should the claim lapse
    public_url = platform.settings.public_url
    parcels = [Parcel(UUID(str(one.id)), _chain(one), rules.payload(_fact(one), public_url)) for one in found]
    return Batch(row.url, service.secrets_of(platform, row), parcels)


async def _read_on(session: AsyncSession, platform: Platform, row: WebhookEndpoint) -> bool:
    """Make deliveries of the next changes, as far as there is room; whether there is more to read at once."""
    room = WINDOW - await repository.count_pending(session, row.id)
    row.is_full = room <= 0
    if row.is_full:
        return False
    page = await changes.read_for_all(
        session, WORKING, row.workspace_id, after=row.position, limit=min(room, READ_AT_ONCE)
    )
    made = _deliveries_of(page, platform, row)
    if made:
        await repository.insert_deliveries(session, made)
    row.position = page.position
    row.is_full = room <= len(made)
    return page.has_more and not row.is_full


def _deliveries_of(page: ChangePage, platform: Platform, row: WebhookEndpoint) -> list[dict[str, Any]]:
    now = platform.clock.now()
    return [
        {
            "id": platform.randomness.uuid(),
            "workspace_id": row.workspace_id,
            "endpoint_id": row.id,
            "position": one.position,
            "entity": one.entity,
            "entity_id": one.entity_id,
            "action": one.action,
            "entity_version": one.version,
            "actor_user_id": one.actor_user_id,
            "occurred_at": one.created_at,
            "in_order": True,
            "status": DeliveryStatus.PENDING,
            "due_at": now,
            "try_until": now + rules.KEPT_TRYING,
            "created_at": now,
        }
        for one in page.rows
        if rules.lets_through(row.events, one.entity, one.action)
    ]


async def _sendable(session: AsyncSession, platform: Platform, row: WebhookEndpoint) -> Sequence[WebhookDelivery]:
    """To a receiver that is away one thing is sent when its pause is over, and what somebody waits for."""
    now = platform.clock.now()
    if row.paused_until is None:
        return await repository.sendable(session, row.id, now, SENT_AT_ONCE)
    asked_for = await repository.out_of_order(session, row.id, now, SENT_AT_ONCE)
    if asked_for or row.paused_until > now:
        return asked_for
    return await repository.probe(session, row.id)


def _chain(one: WebhookDelivery) -> tuple[object, ...]:
    return (one.entity, one.entity_id) if one.in_order else (one.id,)


def _fact(one: WebhookDelivery) -> rules.Fact:
    return rules.Fact(
        workspace_id=one.workspace_id,
        position=one.position,
        entity=one.entity,
        entity_id=one.entity_id,
        action=one.action,
        version=one.entity_version,
        actor_user_id=one.actor_user_id,
        occurred_at=one.occurred_at,
    )


async def _put_back(session: AsyncSession, row: WebhookEndpoint) -> None:
    _put_down(row)
    if row.paused_until is None:
        row.due_at = await repository.next_due(session, row.id)
        return
    asked_for = await repository.next_due(session, row.id, in_order=False)
    probed = row.paused_until if await repository.next_due(session, row.id, in_order=True) is not None else None
    row.due_at = min(filter(None, (asked_for, probed)), default=None)


def _put_down(row: WebhookEndpoint) -> None:
    row.claimed_by = row.claimed_until = None


async def interrupt(session: AsyncSession, platform: Platform, claimed: Claim) -> None:
    """Give an endpoint back although there is more to do, so that others have their turn."""
    row = await repository.lock_claimed(session, WORKING, claimed.endpoint_id, claimed.claimed_by)
    if row is None:
        return
    _put_down(row)
    row.due_at = platform.clock.now() if row.is_enabled else None


async def settle(
    session: AsyncSession, platform: Platform, claimed: Claim, results: Sequence[tuple[Parcel, Outcome]]
) -> bool:
    """Write down what came of a batch; False when the claim had lapsed, and another sends it again."""
    row = await repository.lock_claimed(session, WORKING, claimed.endpoint_id, claimed.claimed_by)
    if row is None:
        return False
    now = platform.clock.now()
    held = await repository.lock_deliveries(session, [parcel.delivery_id for parcel, _ in results])
    for parcel, outcome in results:
        delivery = held.get(parcel.delivery_id)
        if delivery is not None and delivery.status != DeliveryStatus.DELIVERED:
            _settle_one(session, platform, delivery, outcome, now)
    await session.flush()
    outcomes = [outcome for _, outcome in results]
    if not row.is_enabled or not outcomes:  # somebody disabled it, or deleted it, while it was sent to
        return True
    if any(one.is_gone for one in outcomes):
        await _shut(session, platform, row, DisabledReason.GONE)
    elif any(one.error is None for one in outcomes):
        await _arrived(session, row, now)
    else:
        ended = any(one.status == DeliveryStatus.GIVEN_UP and one.position is not None for one in held.values())
        await _failed(session, platform, row, outcomes, now, has_given_up=ended)
    return True


def _settle_one(
    session: AsyncSession, platform: Platform, delivery: WebhookDelivery, outcome: Outcome, now: datetime
) -> None:
    delivery.attempts += 1
    session.add(
        WebhookAttempt(
            delivery_id=delivery.id,
            number=delivery.attempts,
            workspace_id=delivery.workspace_id,
            tried_at=now,
            status_code=outcome.status_code,
            duration_ms=outcome.duration_ms,
            error=outcome.error,
            answer=outcome.answer,
        )
    )
    if outcome.error is None:
        delivery.status = DeliveryStatus.DELIVERED
        delivery.outcome, delivery.finished_at = None, now
        return
    if delivery.status != DeliveryStatus.PENDING:  # skipped while it was on its way
        return
    delivery.outcome = outcome.error
    delivery.failures += 1
    if outcome.is_gone or now >= delivery.try_until:
        delivery.status = DeliveryStatus.GIVEN_UP
        delivery.finished_at = now
    else:
        # The last try is on the last moment, and not some hours before it.
        later = now + rules.delay(delivery.failures, platform.randomness.uniform())
        delivery.due_at = min(later, delivery.try_until)


async def _arrived(session: AsyncSession, row: WebhookEndpoint, now: datetime) -> None:
    if row.paused_until is not None:
        await repository.wake_pending(session, row.id, now)
    row.failures = 0
    row.failing_since = row.paused_until = None
    row.last_delivered_at = now


async def _failed(
    session: AsyncSession,
    platform: Platform,
    row: WebhookEndpoint,
    outcomes: Sequence[Outcome],
    now: datetime,
    *,
    has_given_up: bool,
) -> None:
    """It is disabled when another change is given up, and not before: where little is sent, the one that failed last
    may be a month old, and each is promised its three days.
    """
    row.failing_since = row.failing_since or now
    if all(one.is_away for one in outcomes):
        row.failures += 1
        asked = max(one.retry_after_s or 0 for one in outcomes)
        row.paused_until = now + rules.pause(row.failures, platform.randomness.uniform(), asked)
        has_given_up |= await repository.finish_pending(
            session, row.id, now, DeliveryStatus.GIVEN_UP, outcome="the receiver was away", expired=True
        )
    if has_given_up and now - row.failing_since >= DISABLED_AFTER:
        await _shut(session, platform, row, DisabledReason.FAILING)


async def _shut(session: AsyncSession, platform: Platform, row: WebhookEndpoint, reason: DisabledReason) -> None:
    """Send there no more, and tell who manages the workspace's endpoints."""
    service.disable(platform, row, reason)
    service.touch(session, platform, row, "disabled", WORKING.actor)
    _log.warning("webhook_endpoint_disabled", endpoint_id=str(row.id), reason=reason.value)
    why = (
        "The receiver answered 410: it wants no more webhooks."
        if reason is DisabledReason.GONE
        else f"Nothing has arrived there for {DISABLED_AFTER.days} days."
    )
    await session.flush()
    await notifications.notify(
        session,
        platform,
        user_ids=await repository.admins(session, row.workspace_id),
        category=Category.WORKSPACE,
        type="webhooks.endpoint_disabled",
        dedup_key=f"webhooks.endpoint_disabled:{row.id}:{row.version}",
        title="A webhook endpoint was disabled",
        body=f"{why} Nothing more is sent to {row.url}. Once the receiver is mended, enable the endpoint; it can"
        " catch up on what it missed.",
        reason="You manage this workspace.",
        data={"webhookEndpointId": str(row.id), "disabledReason": reason.value},
        link=LINK,
        workspace_id=row.workspace_id,
    )


# --- whose turn it is ----------------------------------------------------------------------------------------------


async def due(session: AsyncSession, platform: Platform, limit: int) -> Sequence[UUID]:
    """Endpoints with something to try again."""
    return await repository.due(session, WORKING, now=platform.clock.now(), wall=platform.clock.wall(), limit=limit)


async def of_workspaces(session: AsyncSession, workspace_ids: Sequence[UUID]) -> Sequence[UUID]:
    """Endpoints whose workspaces have changed."""
    return await repository.enabled_of(session, WORKING, workspace_ids)


async def behind(session: AsyncSession, platform: Platform, after: UUID | None) -> tuple[Sequence[UUID], UUID | None]:
    """Of a page of endpoints those whose feed is ahead of them, and where the next page begins."""
    page = await repository.standings(session, WORKING, wall=platform.clock.wall(), after=after, limit=STANDINGS_PAGE)
    held = await changes.positions_of(session, WORKING, {one.workspace_id for one in page})
    late = [one.endpoint_id for one in page if held[one.workspace_id] > one.position]
    return late, page[-1].endpoint_id if len(page) == STANDINGS_PAGE else None
