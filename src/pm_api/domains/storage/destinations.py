"""Where files go: each type of file has a place, and whoever owns the place says who may put something there.

Storage knows its own. Tasks and projects are above or beside it, so they put themselves on the list in a module that
`registry.py` imports; what is not on the list takes no files.
"""

from collections.abc import Awaitable, Collection
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.storage.enums import FileType
from pm_api.domains.storage.errors.places import NotAPlaceForFiles, TooManyFilesHere
from pm_api.domains.storage.models import StoredFile
from pm_api.domains.storage.repository import files as repository

MOST_OF_ONE_TASK: Final = repository.MOST_OF_ONE_TASK


@dataclass(frozen=True, slots=True)
class Destination:
    """What a file's row says of its place. Without `scope_id` the file is its uploader's alone."""

    scope_id: UUID | None = None
    task_id: UUID | None = None
    project_id: UUID | None = None
    message_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A file has come to a place, or is there no more: uploaded, put there, thrown away, brought back."""

    file_id: UUID
    original_name: str
    task_id: UUID | None
    project_id: UUID | None
    message_id: UUID | None
    has_come: bool
    actor_user_id: UUID


class Check(Protocol):
    """Whether the caller may put a file there now. Raises NotAPlaceForFiles for ids that do not fit the type,
    PlaceNotFound for what they do not see, Forbidden for what their role there does not allow, and what the place
    refuses besides.
    """

    def __call__(
        self,
        session: AsyncSession,
        platform: Platform,
        scope: AccountScope,
        *,
        task_id: UUID | None,
        project_id: UUID | None,
    ) -> Awaitable[Destination]: ...


class Listener(Protocol):
    """Told of each passage of a file by a person, in the transaction that makes it, with the file's row held."""

    def __call__(self, session: AsyncSession, platform: Platform, passage: Passage) -> Awaitable[None]: ...


class Gate(Protocol):
    """Whether what lies in a place may be changed now. Raises what the place refuses while it can only be read; reads
    alone, for it is asked with the file's row held.
    """

    def __call__(self, session: AsyncSession, place: Destination) -> Awaitable[None]: ...


class Look(Protocol):
    """Which of these places can only be read now: those whose gate would refuse. One query."""

    def __call__(self, session: AsyncSession, places: Collection[Destination]) -> Awaitable[set[Destination]]: ...


_CHECKS: Final[dict[FileType, Check]] = {}
_LISTENERS: Final[dict[FileType, Listener]] = {}
_GATES: Final[dict[FileType, Gate]] = {}
_LOOKS: Final[dict[FileType, Look]] = {}


def register(
    file_type: FileType,
    check: Check,
    *,
    listener: Listener | None = None,
    gate: Gate | None = None,
    look: Look | None = None,
) -> None:
    """A place with a gate has a look too."""
    if (gate is None) != (look is None):
        raise TypeError("what a gate refuses is told before it is tried: give both")
    if file_type in _CHECKS:
        raise TypeError(f"two slices take files of type {file_type}")
    _CHECKS[file_type] = check
    if listener is not None:
        _LISTENERS[file_type] = listener
    if gate is not None:
        _GATES[file_type] = gate
    if look is not None:
        _LOOKS[file_type] = look


def place_of(file: StoredFile) -> Destination:
    """Where a file is now."""
    return Destination(file.scope_id, file.task_id, file.project_id, file.message_id)


async def ensure_open(session: AsyncSession, file: StoredFile) -> None:
    """Raises what the file's place refuses while it takes no changes: an archived project, say."""
    gate = _GATES.get(FileType(file.file_type))
    if gate is not None:
        await gate(session, place_of(file))


async def closed(session: AsyncSession, files: Collection[StoredFile]) -> set[UUID]:
    """The ids of those in places that take no changes; one query for each kind of place among them."""
    found: set[UUID] = set()
    for file_type, look in _LOOKS.items():
        places = {one.id: place_of(one) for one in files if one.file_type == file_type}
        if places:
            shut = await look(session, set(places.values()))
            found |= {file_id for file_id, place in places.items() if place in shut}
    return found


async def ensure_room(session: AsyncSession, task_id: UUID | None) -> None:
    """Raises TooManyFilesHere. The account's counters are held: of two that come at once one counts the other."""
    if task_id is not None and await repository.count_on_task(session, task_id) >= MOST_OF_ONE_TASK:
        raise TooManyFilesHere


async def passed(session: AsyncSession, platform: Platform, file_type: FileType, passage: Passage) -> None:
    """Tell whoever owns the place."""
    listener = _LISTENERS.get(file_type)
    if listener is not None:
        await listener(session, platform, passage)


def destination(file_type: FileType) -> Check:
    """The check of a type's place; raises NotAPlaceForFiles for what is not uploaded like other files."""
    check = _CHECKS.get(file_type)
    if check is None:
        raise NotAPlaceForFiles(f"Files of type {file_type} are not uploaded here.")
    return check


def types_taken() -> frozenset[FileType]:
    """What a caller may upload or claim."""
    return frozenset(_CHECKS)


async def _nowhere(
    session: AsyncSession, platform: Platform, scope: AccountScope, *, task_id: UUID | None, project_id: UUID | None
) -> Destination:
    """A file without a place: its uploader's alone, until it is claimed or its time is over."""
    del session, platform, scope
    if task_id is not None or project_id is not None:
        raise NotAPlaceForFiles("A TEMPORARY_UPLOAD has no place: leave taskId and projectId out.")
    return Destination()


register(FileType.TEMPORARY_UPLOAD, _nowhere)
