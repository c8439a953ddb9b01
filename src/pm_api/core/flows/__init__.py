"""Flows: work that writes to a provider. What it was to do is committed before the call, what came of it after.

    class CreateCustomer(FlowKind[StripeCustomer]): ...         # act, find, settle, give_up
    CREATE_CUSTOMER = flows.register(CreateCustomer())

    return await flows.run(platform, CREATE_CUSTOMER, begin, request_key=key)

Three short transactions at most, and no session on the wire:

    begin  the row, with the caller's Idempotency-Key and what the intent holds  ──▶ act (or find)  ──▶  settle
                                                                                        └ refused ──▶  give_up

A process may die, and a line may break, at any point. The row stays OPEN; whoever repeats the request takes it over,
asks `find` first and acts again under the provider's same key. The sweep takes over what nobody repeats: it finds and
settles, or gives up what never happened, but it never writes to a provider anew.
"""

from pm_api.core.flows.kinds import (
    FLOW_PROBLEMS,
    KINDS,
    ChangeInProgress,
    FlowKind,
    FlowView,
    RequestKey,
    register,
)
from pm_api.core.flows.running import Begin, flow_key, forget_old, key_if_sent, run, stored_answer
from pm_api.core.flows.sweeping import sweep

__all__ = [
    "FLOW_PROBLEMS",
    "KINDS",
    "Begin",
    "ChangeInProgress",
    "FlowKind",
    "FlowView",
    "RequestKey",
    "flow_key",
    "forget_old",
    "key_if_sent",
    "register",
    "run",
    "stored_answer",
    "sweep",
]
