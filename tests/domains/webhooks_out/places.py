"""Workspaces with an endpoint, and short ways to what stands in the log."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.webhooks_out import deliveries, flows, service
from pm_api.domains.webhooks_out.schemas import (
    WebhookDeliveryWithAttempts,
    WebhookEndpointCreate,
    WebhookEndpointRead,
    WebhookEndpointUpdate,
)
from tests.domains.changes.people import Caller, new_caller, new_workspace
from tests.domains.changes.writing import write

THINGS = [UUID(int=number) for number in range(1, 6)]


@dataclass
class Place:
    """A workspace, its owner, and an endpoint of theirs."""

    platform: Platform
    owner: Caller
    scope: WorkspaceScope
    endpoint_id: UUID
    secret: str

    @property
    def workspace_id(self) -> UUID:
        return self.scope.workspace_id

    async def write(self, number: int, thing: int = 0, **fields: Any) -> None:
        """A change of one of the things; `number` is its version."""
        await write(self.platform, number, workspace_id=self.workspace_id, entity_id=THINGS[thing], **fields)

    async def change(self, **fields: Any) -> WebhookEndpointRead:
        async with self.platform.database.transaction() as session:
            wanted = WebhookEndpointUpdate.model_validate(fields)
            return await service.update(session, self.platform, self.scope, self.endpoint_id, wanted, None)

    async def look(self) -> WebhookEndpointRead:
        async with self.platform.database.reading() as session:
            return await service.get(session, self.scope, self.endpoint_id)

    async def log(self) -> list[WebhookDeliveryWithAttempts]:
        """All deliveries with their tries, oldest first."""
        async with self.platform.database.reading() as session:
            ids = (
                await session.execute(
                    text("SELECT id FROM webhook_deliveries WHERE endpoint_id = :id ORDER BY id"),
                    {"id": self.endpoint_id},
                )
            ).scalars()
            return [await deliveries.get(session, self.scope, one) for one in ids.all()]

    async def statuses(self) -> list[tuple[int, str]]:
        """(number, status) of each, oldest first."""
        return [(one.entity_version, one.status.value) for one in await self.log()]

    async def test(self) -> WebhookDeliveryWithAttempts:
        async with self.platform.database.transaction() as session:
            return await deliveries.send_test(session, self.platform, self.scope, self.endpoint_id)

    async def replay(self, delivery_id: UUID) -> WebhookDeliveryWithAttempts:
        async with self.platform.database.transaction() as session:
            return await deliveries.replay(session, self.platform, self.scope, delivery_id)

    async def deliver(self) -> None:
        """What a worker does when its time has come."""
        await flows.deliver_due(self.platform)

    async def live(self, time: timedelta, step: timedelta = timedelta(minutes=30)) -> None:
        """So much business time goes by, with the sweep at every step."""
        passed = timedelta()
        while passed < time:
            passed += step
            self.platform.clock.shift_to(self.platform.clock.offset + step)
            await self.deliver()


async def open_place(platform: Platform, url: str, *, events: list[str] | None = None) -> Place:
    """The endpoint is told of tasks alone, unless it asks for something else."""
    owner = await new_caller(platform)
    return await open_endpoint(platform, owner, await new_workspace(platform, owner), url, events=events)


async def open_endpoint(
    platform: Platform, owner: Caller, workspace_id: UUID, url: str, *, events: list[str] | None = None
) -> Place:
    """The same in a workspace that stands already."""
    scope = owner.within(workspace_id, "OWNER")
    body = {"workspaceId": workspace_id, "url": url, "events": events or ["task.*"]}
    wanted = WebhookEndpointCreate.model_validate(body)
    async with platform.database.transaction() as session:
        made, secret = await service.create(session, platform, scope, wanted)
    return Place(platform, owner, scope, made.id, secret)
