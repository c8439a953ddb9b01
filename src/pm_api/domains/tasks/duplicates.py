"""A hint that something may be there already: titles that share most of their words. It never stands in the way."""

import re
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.domains.projects import service as projects
from pm_api.domains.tasks.reading import reads
from pm_api.domains.tasks.repository import duplicates as repository
from pm_api.domains.tasks.schemas.duplicates import PossibleDuplicateTask

MOST: Final = 5
CANDIDATES: Final = 50
ALIKE: Final = 0.5
MOST_WORDS: Final = 12
SHORTEST: Final = 3
_WORD: Final = re.compile(r"\w+")


def words_of(title: str) -> frozenset[str]:
    """In lower case. Short ones say little, and count only where there are no longer ones."""
    found = _WORD.findall(title.lower())
    return frozenset([one for one in found if len(one) >= SHORTEST] or found)


def likeness(one: str, other: str) -> float:
    """How many of all their words two titles share, from 0 to 1. A word counts for one that it begins with."""
    mine, theirs = words_of(one), words_of(other)
    if not mine or not theirs:
        return float(one.strip().lower() == other.strip().lower())
    shared = sum(any(_same(word, another) for another in theirs) for word in mine)
    back = sum(any(_same(word, another) for another in mine) for word in theirs)
    return (shared + back) / (len(mine) + len(theirs))


def _same(word: str, other: str) -> bool:
    shorter, longer = sorted((word, other), key=len)
    return shorter == longer or (len(shorter) > SHORTEST and longer.startswith(shorter))


async def possible(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    title: str,
    but: UUID | None = None,
) -> list[PossibleDuplicateTask]:
    """Up to five tasks of a project that may be the same, the most alike first; raises NotFound."""
    if await projects.project(session, scope, project_id) is None:
        raise NotFound
    words = sorted(words_of(title), key=lambda one: (-len(one), one))[:MOST_WORDS]
    if not words:
        return []
    stems = {word if len(word) <= SHORTEST + 1 else word[: SHORTEST + 1] for word in words}
    found = await repository.alike(session, scope, project_id, stems, limit=CANDIDATES)
    rated = [(likeness(title, one.title), one) for one in found if one.id != but]
    best = sorted((one for one in rated if one[0] >= ALIKE), key=lambda one: (-one[0], one[1].number))[:MOST]
    shown = await reads(session, platform, scope, [task for _, task in best])
    return [
        PossibleDuplicateTask(task=task, likeness=round(rate, 2)) for (rate, _), task in zip(best, shown, strict=True)
    ]
