"""Who began a flow is named by whoever finishes it, in another process too."""

from uuid import UUID, uuid4

import orjson
import pytest

from pm_api.core.actor import Actor, ActorKind, ApiKeyGrant, UserScope, WorkspaceScope
from pm_api.core.db import as_json
from pm_api.core.flows import FlowView
from pm_api.domains.billing.flows.callers import account_of, actor_of, pinned
from pm_api.entitlements.enums import AccountType

USER, WORKSPACE, KEY = uuid4(), uuid4(), uuid4()


@pytest.mark.parametrize("key_id", [None, KEY])
@pytest.mark.parametrize("in_workspace", [False, True])
def test_the_person_and_their_key_come_back(key_id: UUID | None, in_workspace: bool) -> None:
    session_id = uuid4() if key_id is None else None
    grant = ApiKeyGrant(key_id, None, frozenset({"billing:write"})) if key_id is not None else None
    actor = Actor(ActorKind.API_KEY if grant else ActorKind.USER, USER, session_id, api_key=grant)
    scope = WorkspaceScope(actor, WORKSPACE, USER, "ADMIN") if in_workspace else UserScope(actor, USER)
    stored = orjson.loads(as_json(pinned(scope, plan="TEAM_STANDARD")))
    assert stored["plan"] == "TEAM_STANDARD"
    flow = FlowView(uuid4(), stored, 1, None)
    found = actor_of(flow)
    assert (found.kind, found.user_id, found.api_key_id) == (actor.kind, USER, key_id)
    assert account_of(flow) == ((AccountType.WORKSPACE, WORKSPACE) if in_workspace else (AccountType.USER, USER))
