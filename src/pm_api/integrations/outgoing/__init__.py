"""Requests to addresses that customers name: a thin door that leads nowhere inside.

A name is resolved once, every address it has is looked at, and the connection goes to the address that was looked at;
redirects are not followed, time and answers are bounded, and no proxy of the environment is asked.
"""

from pm_api.integrations.outgoing.addresses import Network, TargetRefused, check_address, check_url
from pm_api.integrations.outgoing.door import (
    OutgoingAnswer,
    OutgoingDoor,
    OutgoingLine,
    Resolve,
    TargetUnreachable,
    resolve,
)

__all__ = [
    "Network",
    "OutgoingAnswer",
    "OutgoingDoor",
    "OutgoingLine",
    "Resolve",
    "TargetRefused",
    "TargetUnreachable",
    "check_address",
    "check_url",
    "resolve",
]
