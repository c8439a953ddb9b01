"""A database of its own with an operator, people and workspaces: for tests that move the clock over months."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import httpx
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.core.actor import Actor, ActorKind, UserScope, WorkspaceScope
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import balances, verification
from pm_api.domains.ai_credits import jobs as credit_jobs
from pm_api.domains.billing import jobs as billing_jobs
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType
from pm_api.entitlements.rules import Bought, Budget, Standing
from pm_api.identity import members
from pm_api.identity.permissions import Role
from tests.conftest import Person, client_of
from tests.identity.teams import make_workspace
from tests.support.clock import MovableClock
from tests.support.settings import ADMIN_KEY

Json = dict[str, Any]
OPERATOR: Final = {"x-admin-key": ADMIN_KEY}
GIGABYTE: Final = 1024**3


@dataclass
class Installation:
    """The platform, the application on it, and what one asks of them."""

    platform: Platform
    app: FastAPI

    @property
    def clock(self) -> MovableClock:
        assert isinstance(self.platform.clock, MovableClock)
        return self.platform.clock

    def stand_at(self, moment: datetime) -> None:
        """Business time alone: everybody stays signed in."""
        self.clock.shift_to(moment - self.clock.wall())

    async def workspace_of(self, owner: Person) -> UUID:
        return UUID((await make_workspace(owner))["id"])

    async def write(self, bought: Bought) -> bool:
        async with self.platform.database.transaction() as session:
            return await entitlements.write(session, self.platform, bought)

    async def standing(self, kind: AccountType, account_id: UUID) -> Standing:
        async with self.platform.database.reading() as session:
            return await entitlements.standing_of(session, self.platform, kind, account_id)

    async def budget(self, workspace_id: UUID) -> Budget:
        async with self.platform.database.reading() as session:
            return await entitlements.budget_of(session, self.platform, workspace_id)

    async def add(self, workspace_id: UUID, person: Person, role: Role = Role.MEMBER) -> None:
        """Take a person in, as an invitation does; the plan may refuse it."""
        async with self.platform.database.transaction() as session:
            await members.add(session, self.platform, Actor(ActorKind.SYSTEM), workspace_id, person.id, role)

    async def count_people(self, *workspace_ids: UUID) -> int:
        statement = "SELECT count(DISTINCT user_id) FROM workspace_members WHERE workspace_id = ANY(:ids)"
        [(people,)] = await self.rows(statement, ids=list(workspace_ids))
        return int(people)

    async def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        async with self.platform.database.reading() as session:
            return [tuple(row) for row in await session.execute(text(statement), values)]

    async def execute(self, statement: str, **values: Any) -> None:
        """What no route does."""
        async with self.platform.database.transaction() as session:
            await session.execute(text(statement), values)

    async def operate(self, method: str, account: str, *, match: str | None = None, **body: Any) -> httpx.Response:
        """A call about a contract by the operator; `account` is such as WORKSPACE/<id>."""
        headers = OPERATOR | ({"If-Match": match} if match else {})
        async with client_of(self.app) as caller:
            return await caller.request(
                method, f"/api/admin/accounts/{account}/contract", headers=headers, json=body or None
            )

    async def agreed(self, account: str, status: int = 201, **body: Any) -> Json:
        answer = await self.operate("PUT", account, **body)
        assert answer.status_code == status, answer.text
        made: Json = answer.json()["contract"]
        return made

    async def sweep(self) -> None:
        """Everything that is due, as the worker does it."""
        context = JobContext(self.platform, "test", attempt=1)
        await billing_jobs.settle_contracts(context)
        await credit_jobs.grant_due_months(context)
        await credit_jobs.renew_free_tier(context)

    async def credits(self, kind: AccountType, account_id: UUID) -> int:
        """What people see as the account's credits; its book is proved on the way."""
        actor = Actor(ActorKind.USER, account_id)
        scope: UserScope | WorkspaceScope = UserScope(actor, account_id)
        if kind is AccountType.WORKSPACE:
            scope = WorkspaceScope(actor, account_id, account_id, "OWNER")
        async with self.platform.database.reading() as session:
            found = await verification.verify(session, self.platform, scope)
            assert found.ok, found.problems
            return (await balances.balance(session, self.platform, scope)).current


def contract(starts_at: datetime, ends_at: datetime, **fields: Any) -> Json:
    body = {
        "plan": "TEAM_STANDARD",
        "price": 9999,
        "currency": "USD",
        "startsAt": starts_at.isoformat(),
        "endsAt": ends_at.isoformat(),
    }
    return body | fields
