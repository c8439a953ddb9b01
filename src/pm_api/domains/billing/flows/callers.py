"""Whose a flow is: every try of it, and whoever finishes it after a crash, reads the same."""

from typing import Any
from uuid import UUID

from pm_api.core.actor import AccountScope, Actor, ActorKind
from pm_api.core.flows import FlowView
from pm_api.domains.billing import accounts
from pm_api.domains.billing.accounts import Account
from pm_api.entitlements.enums import AccountType


def pinned(scope: AccountScope, **more: Any) -> dict[str, Any]:
    """A flow's parameters: whose account, who asked, and what else is the same for every try."""
    kind, account_id = accounts.of_scope(scope)
    return {"accountType": kind, "accountId": account_id, "userId": scope.user_id, **more}


def account_of(flow: FlowView) -> Account:
    return AccountType(flow.parameters["accountType"]), UUID(flow.parameters["accountId"])


def actor_of(flow: FlowView) -> Actor:
    return Actor(ActorKind.USER, UUID(flow.parameters["userId"]))
