"""A minimal valid request for every operation. A new route without one fails the access matrix."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
from fastapi.routing import APIRoute

from pm_api.domains.ai_credits import service as credits_service
from pm_api.domains.ai_credits.schemas.ledger import SpendRequest
from pm_api.sandbox.stripe import sign_payload
from tests.architecture.world import ADMIN_KEY_HOLDER, CHECKOUT_COMPLETED, FACTORIES, TARGET, Scene
from tests.conftest import PASSWORD
from tests.support.settings import WEBHOOK_SECRET


@dataclass
class Call:
    """What goes over the wire beside the method."""

    path: str = ""
    query: dict[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


Example = Callable[[Scene], Awaitable[Call]]

PATH_TABLES: Final = {
    "workspace_id": "workspaces",
    "member_id": "workspace_members",
    "session_id": "sessions",
    "event_id": "inbox_events",
    "job_id": "pgqueuer",
}
"""Which table a path parameter's id is from."""

PATH_VALUES: Final = {"code": "not_found", "key": "a-key"}


async def nothing(_scene: Scene) -> Call:
    return Call()


def fixed(**body: Any) -> Example:
    async def example(_scene: Scene) -> Call:
        return Call(json=body)

    return example


async def of_the_workspace(scene: Scene) -> Call:
    return Call(query={"workspaceId": str(scene.place.workspace_id)})


async def register(_scene: Scene) -> Call:
    return Call(json={"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "name": "Ann Archer"})


async def login(scene: Scene) -> Call:
    return Call(json={"email": scene.cast.emails[TARGET], "password": PASSWORD})


async def refresh(scene: Scene) -> Call:
    return Call(json={"refreshToken": (await scene.cast.sign_in(TARGET)).refresh_token})


async def unarchive(scene: Scene) -> Call:
    await scene.archive()
    return Call()


async def restore(scene: Scene) -> Call:
    await scene.delete()
    return Call()


async def transfer(scene: Scene) -> Call:
    return Call(json={"userId": str(scene.cast.user_ids[TARGET])})


async def remove_member(scene: Scene) -> Call:
    """Who manages nobody leaves: that is what their permission is for."""
    leaves = scene.column in ("VIEWER", "MEMBER")
    return Call(path=f"/api/team/members/{scene.place.member_ids[scene.column if leaves else TARGET]}")


async def spend(scene: Scene) -> Call:
    await scene.fill_pool()
    return Call(
        json={"amount": 1, "workspaceId": str(scene.place.workspace_id)}, headers={"Idempotency-Key": uuid4().hex}
    )


async def spend_from_own_wallet(_scene: Scene) -> Call:
    return Call(json={"amount": 1}, headers={"Idempotency-Key": uuid4().hex})


async def outcome(scene: Scene) -> Call:
    """Of a spend by the caller, which the service is told to make whatever the caller's role is."""
    key = uuid4().hex
    await scene.fill_pool()
    await credits_service.spend(scene.platform, scene.scope(), SpendRequest(amount=1), key)
    query = {"route": "spendCredits", "workspaceId": str(scene.place.workspace_id)}
    return Call(path=f"/api/idempotency/{key}", query=query)


async def outcome_in_own_wallet(scene: Scene) -> Call:
    if scene.caller is None:
        return Call(path="/api/idempotency/any", query={"route": "spendCredits"})
    key = uuid4().hex
    await credits_service.spend(scene.platform, scene.own_scope(), SpendRequest(amount=1), key)
    return Call(path=f"/api/idempotency/{key}", query={"route": "spendCredits"})


async def grant(scene: Scene) -> Call:
    return Call(
        json={"userId": str(scene.cast.user_ids[TARGET]), "amount": 1, "reason": "matrix"},
        headers={"Idempotency-Key": uuid4().hex},
    )


async def stripe_event(scene: Scene) -> Call:
    sent_at = int(scene.platform.clock.wall().timestamp())
    event = {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "type": CHECKOUT_COMPLETED,
        "livemode": False,
        "created": sent_at,
        "data": {"object": {"id": f"cs_{uuid4().hex}", "object": "checkout.session"}},
    }
    body = orjson.dumps(event)
    signature = sign_payload(body, WEBHOOK_SECRET, sent_at)
    return Call(content=body, headers={"Stripe-Signature": signature, "Content-Type": "application/json"})


async def own_ticket(_scene: Scene) -> Call:
    return Call(json={})


async def ticket(scene: Scene) -> Call:
    return Call(json={"workspaceId": str(scene.place.workspace_id)})


EXAMPLES: Final[dict[str, Example]] = {
    "getHealth": nothing,
    "getReadiness": nothing,
    "getMetrics": nothing,
    "getDocs": nothing,
    "getProblem": nothing,
    "getConfig": nothing,
    "listHeldJobs": nothing,
    "releaseHeldJob": nothing,
    "getClock": nothing,
    "moveClock": fixed(advanceS=0),
    "register": register,
    "login": login,
    "refresh": refresh,
    "logout": nothing,
    "logoutAll": nothing,
    "getIdempotencyOutcome": outcome,
    "getMe": nothing,
    "listSessions": nothing,
    "endSession": nothing,
    "getJwks": nothing,
    "createWorkspace": fixed(name="Acme"),
    "listWorkspaces": nothing,
    "getWorkspace": nothing,
    "updateWorkspace": fixed(name="Renamed"),
    "deleteWorkspace": nothing,
    "archiveWorkspace": nothing,
    "unarchiveWorkspace": unarchive,
    "restoreWorkspace": restore,
    "transferWorkspace": transfer,
    "listMembers": of_the_workspace,
    "changeMemberRole": fixed(role="VIEWER"),
    "removeMember": remove_member,
    "spendCredits": spend,
    "grantCredits": grant,
    "getCreditBalance": of_the_workspace,
    "getCreditOverview": of_the_workspace,
    "listCreditHistory": of_the_workspace,
    "verifyCredits": of_the_workspace,
    "listCreditPacks": nothing,
    "receiveStripeEvent": stripe_event,
    "receiveBillingEvent": stripe_event,
    "listWebhookEvents": nothing,
    "getWebhookEvent": nothing,
    "replayWebhookEvent": nothing,
    "listChanges": of_the_workspace,
    "createStreamTicket": ticket,
    "openStream": of_the_workspace,
}


OWN_ACCOUNT: Final[dict[str, Example]] = {
    "spendCredits": spend_from_own_wallet,
    "getIdempotencyOutcome": outcome_in_own_wallet,
    "createStreamTicket": own_ticket,
    "getCreditBalance": nothing,
    "getCreditOverview": nothing,
    "listCreditHistory": nothing,
    "verifyCredits": nothing,
    "listChanges": nothing,
    "openStream": nothing,
}
"""The same for what works on a workspace's account or on the caller's own: without a workspace."""


async def example_of(route: APIRoute, scene: Scene, examples: dict[str, Example] = EXAMPLES) -> Call:
    """The route's valid request in this scene, its path filled with ids of rows that are really there."""
    assert route.operation_id is not None
    call = await examples[route.operation_id](scene)
    if not call.path:
        ids = await path_ids(route, scene)
        call.path = route.path_format.format(**ids)
    call.headers = {**scene.headers, **call.headers}
    return call


async def path_ids(route: APIRoute, scene: Scene) -> dict[str, UUID | int | str]:
    """Real values for the route's path parameters."""
    names = list(route.param_convertors)
    return {
        name: PATH_VALUES[name] if name in PATH_VALUES else await FACTORIES[PATH_TABLES[name]](scene)
        for name in names
    }


def succeeding_column(guard_name: str) -> str:
    """A kind of caller whom every guard of this kind lets in."""
    return ADMIN_KEY_HOLDER if guard_name == "Operator" else "OWNER"
