"""Domain events: how water rises. A lower floor emits a row; upper floors subscribe with jobs of their own.

class MemberAdded(Event, name="member.added"): ...
await emit(session, MemberAdded(...))          # lower floor, in its own transaction
@on(MemberAdded) async def record(context, event): ...   # upper floor, later, at least once
"""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.ids import Randomness
from pm_api.core.jobs import Job, JobContext, enqueue, job

AnyEvent = TypeVar("AnyEvent", bound="Event")

_SUBSCRIBERS: dict[type["Event"], list[Job[Any]]] = {}


class Event(BaseModel):
    """A fact. `id` lets a subscriber recognise a second delivery."""

    model_config = ConfigDict(frozen=True)
    event_name: ClassVar[str] = ""

    id: UUID

    def __init_subclass__(cls, name: str, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.event_name = name

    @classmethod
    def __pydantic_init_subclass__(cls, **_arguments: Any) -> None:
        """Swallow the class argument that names the event."""


def on(
    event: type[AnyEvent],
) -> Callable[[Callable[[JobContext, AnyEvent], Awaitable[None]]], Job[AnyEvent]]:
    """Subscribe a job, named after the event and the subscribing module."""

    def register(run: Callable[[JobContext, AnyEvent], Awaitable[None]]) -> Job[AnyEvent]:
        slice_name = run.__module__.removeprefix("pm_api.").removeprefix("domains.").split(".")[0]
        subscriber = job(f"{event.event_name}>{slice_name}.{run.__name__}", event)(run)
        _SUBSCRIBERS.setdefault(event, []).append(subscriber)
        return subscriber

    return register


async def emit(session: AsyncSession, event: Event) -> None:
    """One job per subscriber, in this transaction."""
    for subscriber in _SUBSCRIBERS.get(type(event), ()):
        await enqueue(session, subscriber, event)


def event_id(randomness: Randomness) -> UUID:
    return randomness.uuid()
