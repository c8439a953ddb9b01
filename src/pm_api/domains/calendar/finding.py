"""Events in search: their words, with those of occurrences that are called otherwise. What is "Busy" to others has
no document, because a document is found by everybody who sees the calendar it lies in.
"""

from collections.abc import Collection, Iterator
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.calendar.enums import Visibility
from pm_api.domains.calendar.mapping import Series
from pm_api.domains.search import service as search

KIND: Final = "event"
MOST_OVERRIDES: Final = 100
"""Occurrences whose own words are taken in; a document holds 20,000 characters in any case."""
_WORDS: Final = ("title", "location", "description")


async def put(session: AsyncSession, series: Series) -> None:
    """Write the document of an event as it is now, in the transaction that changes it; drop that of a private one."""
    event = series.event
    if event.visibility != Visibility.DEFAULT:
        await drop(session, [event.id])
        return
    await search.put(
        session,
        kind=KIND,
        entity_id=event.id,
        workspace_id=event.workspace_id,
        scope_id=event.scope_id,
        project_id=event.project_id,
        title=event.title,
        body="\n".join(one for one in (event.location, event.description, *_own_words(series)) if one),
        updated_at=event.updated_at,
    )


async def drop(session: AsyncSession, event_ids: Collection[UUID]) -> None:
    """Before the events themselves go."""
    await search.drop(session, kind=KIND, entity_ids=event_ids)


def _own_words(series: Series) -> Iterator[str]:
    """What single occurrences say otherwise; not of those that are cancelled, or private by themselves."""
    for one in series.overrides[:MOST_OVERRIDES]:
        if not one.cancelled and one.fields.get("visibility", Visibility.DEFAULT) == Visibility.DEFAULT:
            yield from (str(one.fields[name]) for name in _WORDS if one.fields.get(name))
