"""How a page is found: ranking all that fits would cost as much as there is, so the newest that fit are ranked.

The documents are taken in stretches of positions, from the newest back and longer the further back, until 500 that
fit are found. They are ranked together and shown page by page; after them come the 500 before, ranked among
themselves. The index answers each stretch by itself (words of this tenant that bear the mark of the stretch), so a
page costs about the same whether ten or a million documents fit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, Actor, WorkspaceScope
from pm_api.domains.search import asking, words
from pm_api.domains.search.asking import Question
from pm_api.domains.search.enums import Kind
from pm_api.domains.search.repository import reading
from pm_api.domains.search.repository.reading import Exactly, Match, Sight, Stretch, Wanted
from pm_api.identity.permissions import KeyScope, scope_allows

RANKED: Final = 500
"""How many are ranked together: more than the longest page, or pages would be short."""
SET_CHANGED_MOST: Final = 2
"""Of a stretch whose bounds are known all is ranked, even when more fits by now; to this many times as much."""
WINDOWS_MOST: Final = 4
"""Stretches of 500 that one call looks at; it answers with what it has then, and tells where to go on."""
A_ROUND: Final = 16
"""Stretches that one statement asks for."""
KEYED_MOST: Final = 20
KEYED_SCORE: Final = 1.0
CIRCLES_FEW: Final = 8
"""So many circles are named in a question whatever else there is; more only to those who see little of a workspace,
because each makes every document that fits dearer."""
MARKS_MOST: Final = 400
"""Circles named in one question, over all of the caller's workspaces."""


@dataclass(frozen=True, slots=True)
class Asked:
    text: str
    kinds: tuple[Kind, ...]
    project_id: UUID | None


class Place(NamedTuple):
    """Where to go on: within a window that is known, after the match with this score and position; or with the window
    that begins at a ceiling. Before either with what is called exactly so below a position, if there is more of it.
    """

    ceiling: int
    floor: int | None = None
    score: float = 0.0
    position: int = 0
    named_below: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    matches: list[Match]
    following: Place | None


@dataclass(frozen=True, slots=True)
class Window:
    """Matches that are ranked together, best first, and the lowest position they were looked for at."""

    matches: list[Match]
    floor: int


async def page_of(
    session: AsyncSession, scope: AccountScope, asked: Asked, after: Place | None, *, limit: int
) -> Found:
    """The next matches, at most `limit`, and where to go on. A question without words finds nothing."""
    question = asking.parse(asked.text)
    kinds = tuple(one for one in asked.kinds or tuple(Kind) if _opens(scope.actor, one))
    if question.is_empty or not kinds:
        return Found([], None)
    sights = await reading.sights_of(session, scope.user_id, _only_workspace(scope))
    if not sights:
        return Found([], None)
    keyed = await _keyed(session, Wanted(sights, kinds, asked.project_id), asked.text)
    wanted = Wanted(sights, kinds, asked.project_id, tuple(one.entity_id for one in keyed))
    named = [one for one in keyed if after is None or one.position < after.named_below]
    matches = named[:limit]
    place = after._replace(named_below=0) if after else Place(await reading.last_position(session))
    if len(named) > limit:
        return Found(matches, place._replace(named_below=matches[-1].position))
    for _ in range(WINDOWS_MOST):
        window = await _window(session, wanted, question, place)
        left = [one for one in window.matches if place.floor is None or _comes_after(one, place)]
        while left and len(matches) < limit:
            room = limit - len(matches)
            taken, left = left[:room], left[room:]
            matches += await _with_living_parents(session, taken)
            place = Place(place.ceiling, window.floor, taken[-1].score, taken[-1].position)
        if left:
            return Found(matches, place)
        if window.floor == 0:
            return Found(matches, None)
        place = Place(window.floor - 1)
        if len(matches) == limit:
            break
    return Found(matches, place)


async def _window(session: AsyncSession, wanted: Wanted, question: Question, place: Place) -> Window:
    """The newest 500 at or below the place's ceiling, or what fits within its bounds."""
    exactly = Exactly(
        asking.either(question.expression(words.tag_of(one.workspace_id)) for one in wanted.sights),
        question.is_sieved_whole,
    )
    if place.floor is not None:
        known = [
            _stretch(wanted, question, max(low, place.floor), high)
            for round_ in _rounds(place.ceiling)
            for low, high in round_
            if high >= place.floor
        ]
        most = RANKED * SET_CHANGED_MOST
        return Window(_ranked(await reading.newest(session, wanted, known, exactly, limit=most)), place.floor)
    found: list[Match] = []
    for round_ in _rounds(place.ceiling):
        stretches = [_stretch(wanted, question, low, high) for low, high in round_]
        found += await reading.newest(session, wanted, stretches, exactly, limit=RANKED - len(found))
        if len(found) == RANKED:
            return Window(_ranked(found), found[-1].position)
    return Window(_ranked(found), 0)


def _rounds(ceiling: int) -> Iterator[list[tuple[int, int]]]:
    """Bounds of stretches down to nothing, as many together as one statement asks for: one short one, which is enough
    for what is common, then more and longer ones. They begin where a mark of theirs does, so that few are named.
    """
    high = ceiling
    for shift in words.SHIFTS:
        stretches: list[tuple[int, int]] = []
        while len(stretches) < (1 if shift == words.SHIFTS[0] else A_ROUND):
            low = max(0, (high - (1 << shift) + 1) >> shift << shift)
            stretches.append((low, high))
            high = low - 1
            if low == 0:
                break
        yield stretches
        if high < 0:
            return
    yield [(0, high)]


def _stretch(wanted: Wanted, question: Question, floor: int, ceiling: int) -> Stretch:
    return Stretch(floor, ceiling, _among(wanted, question, floor, ceiling))


def _among(wanted: Wanted, question: Question, floor: int, ceiling: int) -> str:
    """What the index is asked: in each workspace the words, and the marks that can be named."""
    stretch = _stretch_marks(floor, ceiling)
    kinds = [words.kind_mark(one) for one in wanted.kinds] if len(wanted.kinds) < len(Kind) else []
    project = [words.project_mark(wanted.project_id)] if wanted.project_id is not None else []
    most = MARKS_MOST // len(wanted.sights)
    expressions = []
    for sight in wanted.sights:
        tag = words.tag_of(sight.workspace_id)
        circles = _circle_marks(sight) if not project else []
        circles = circles if len(circles) <= (most if sight.is_narrow else CIRCLES_FEW) else []
        expressions.append(asking.narrowed(question.sieve(tag), tag, circles, kinds, project, stretch))
    return asking.either(expressions)


def _circle_marks(sight: Sight) -> list[str]:
    if sight.circles is None:
        return []
    marks = [words.OWNED_MARK, *(words.scope_mark(one) for one in sight.circles)]
    return marks if sight.is_guest else [*marks, words.scope_mark(None)]


def _stretch_marks(floor: int, ceiling: int) -> list[str]:
    """Few that cover a stretch; none of one that is longer than they reach."""
    for shift in words.SHIFTS:
        first, last = floor >> shift, ceiling >> shift
        if last - first < 2:
            return [words.stretch_mark(shift, number) for number in range(first, last + 1)]
    return []


def _ranked(matches: list[Match]) -> list[Match]:
    """Best first; of equals the newer."""
    return sorted(matches, key=lambda one: (-one.score, -one.position))


def _comes_after(match: Match, place: Place) -> bool:
    return (-match.score, -match.position) > (-place.score, -place.position)


async def _keyed(session: AsyncSession, wanted: Wanted, text: str) -> list[Match]:
    """What is called exactly so."""
    named = asking.key_of(text)
    return await reading.by_key(session, wanted, *named, limit=KEYED_MOST) if named else []


async def _with_living_parents(session: AsyncSession, matches: list[Match]) -> list[Match]:
    """Without comments and files of tasks that have no document, being deleted."""
    tasks = {one.parent_id for one in matches if one.kind in _OF_TASKS and one.parent_id is not None}
    if not tasks:
        return matches
    living = await reading.present(session, Kind.TASK, tasks)
    return [one for one in matches if one.kind not in _OF_TASKS or one.parent_id is None or one.parent_id in living]


def _only_workspace(scope: AccountScope) -> UUID | None:
    return scope.workspace_id if isinstance(scope, WorkspaceScope) else None


_OF_TASKS: Final = (Kind.COMMENT, Kind.FILE)
_KEY_SCOPES: Final = {
    Kind.PROJECT: KeyScope.PROJECT_READ,
    Kind.TASK: KeyScope.TASK_READ,
    Kind.COMMENT: KeyScope.TASK_READ,
    Kind.MESSAGE: KeyScope.MESSAGE_READ,
    Kind.EVENT: KeyScope.CALENDAR_READ,
    Kind.FILE: KeyScope.FILE_READ,
}


def _opens(actor: Actor, kind: Kind) -> bool:
    """An API key finds only what it may also read."""
    needed = _KEY_SCOPES.get(kind)
    return actor.api_key is None or (needed is not None and scope_allows(actor.api_key.scopes, needed))
