"""What a kind of flow is, what it sees of one, and what a flow may refuse with."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.errors import ApiError, Conflict, IdempotencyKeyRequired
from pm_api.core.flows.records import Place
from pm_api.core.idempotency import IdempotencyInProgress, IdempotencyKeyReused, InvalidIdempotencyKey
from pm_api.core.platform import Platform

Found = TypeVar("Found")


class ChangeInProgress(Conflict):
    """Another change of the same thing is still under way. Try again when it has ended."""

    code = "change_in_progress"

    def __init__(self, detail: str | None = None, **arguments: Any) -> None:
        super().__init__(detail, headers={"Retry-After": "2"}, **arguments)


FLOW_PROBLEMS: Final[tuple[type[ApiError], ...]] = (
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    InvalidIdempotencyKey,
    IdempotencyInProgress,
)
"""What every route that runs a flow may answer; with `exclusive` also ChangeInProgress."""


@dataclass(frozen=True, slots=True)
class FlowView:
    """A flow as its kind sees it. `parameters` are JSON, as `begin` returned them, for every try the same."""

    id: UUID
    parameters: dict[str, Any]
    attempt: int
    subject: UUID | None

    def key(self, step: str) -> str:
        """The provider's Idempotency-Key of one step."""
        return f"pm:{self.id}:{self.attempt}:{step}"

    @property
    def metadata(self) -> dict[str, str]:
        """What the provider's objects carry, so that they are found again."""
        return {"flow": str(self.id)}


class FlowKind(ABC, Generic[Found]):
    """One kind of flow. `name` is permanent: it stands in rows."""

    name: str

    @abstractmethod
    async def act(self, platform: Platform, flow: FlowView) -> Found:
        """Over the network, no session: write, under `flow.key(step)`. Safe to repeat; from the second `attempt` on
        (the provider failed under the first one's keys) steps that were done already are looked for, not done again.

        Raises a typed refusal when the provider said no and nothing is left there, Unavailable when nobody knows.
        """

    @abstractmethod
    async def find(self, platform: Platform, flow: FlowView) -> Found | None:
        """Over the network, no session, reading only: the whole result, if the provider has it; None: it has not."""

    @abstractmethod
    async def settle(
        self, session: AsyncSession, platform: Platform, flow: FlowView, found: Found
    ) -> Response | None:
        """A short transaction: write the result. What it returns (or refuses with) is the answer that is kept."""

    async def give_up(self, session: AsyncSession, platform: Platform, flow: FlowView) -> None:
        """A short transaction: nothing happened, let go of what the intent held."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Whose intention it is, under which Idempotency-Key, and what was asked: the same key asks for the same."""

    caller: str
    route: str
    key: str
    fingerprint: bytes

    @property
    def place(self) -> Place:
        return (self.caller, self.route, self.key)


KINDS: Final[dict[str, FlowKind[Any]]] = {}

Kind = TypeVar("Kind", bound=FlowKind[Any])


def register(kind: Kind) -> Kind:
    """Make a kind known to whoever finds its rows."""
    if KINDS.setdefault(kind.name, kind) is not kind:
        raise TypeError(f"two kinds of flow claim the name {kind.name!r}")
    return kind
