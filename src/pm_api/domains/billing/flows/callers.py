"""Whose a flow is: every try of it, and whoever finishes it after a crash, reads the same."""

from typing import Any
from uuid import UUID

from pm_api.core.actor import AccountScope, Actor, ActorKind, ApiKeyGrant
from pm_api.core.flows import FlowView
from pm_api.domains.billing import accounts
from pm_api.domains.billing.accounts import Account
from pm_api.entitlements.enums import AccountType


def pinned(scope: AccountScope, **more: Any) -> dict[str, Any]:
    """A flow's parameters: whose account, who asked, and what else is the same for every try."""
    kind, account_id = accounts.of_scope(scope)
    key = {"apiKeyId": scope.actor.api_key_id} if scope.actor.api_key_id is not None else {}
    return {"accountType": kind, "accountId": account_id, "userId": scope.user_id, **key, **more}


def account_of(flow: FlowView) -> Account:
    return AccountType(flow.parameters["accountType"]), UUID(flow.parameters["accountId"])


def actor_of(flow: FlowView) -> Actor:
    user_id, key_id = UUID(flow.parameters["userId"]), flow.parameters.get("apiKeyId")
    if key_id is None:
        return Actor(ActorKind.USER, user_id)
    return Actor(ActorKind.API_KEY, user_id, api_key=ApiKeyGrant(UUID(key_id)))
