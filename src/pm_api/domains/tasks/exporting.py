"""Tasks as a file, read stretch by stretch: nothing is held while the client is slow, however many there are."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.domains.tasks import sieving, table
from pm_api.domains.tasks.enums import Priority
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository import interchange as repository

STRETCH: Final = 200


class FileFormat(StrEnum):
    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks: of a project or of the workspace, all or those that a filter finds."""

    project_id: UUID | None
    condition: ColumnElement[bool] | None


async def export(
    platform: Platform, scope: WorkspaceScope, project_id: UUID | None, sent: str | None, format: FileFormat
) -> AsyncIterator[bytes]:
    """The file, oldest task first. The first stretch is read before this returns, so that what fails then is told;
    raises InvalidFilter.
    """
    async with platform.database.reading() as session:
        condition = await sieving.condition(session, platform, scope, sent) if sent is not None else None
        wanted = Wanted(project_id, condition)
        first = await _stretch(session, scope, wanted, None)
    return _written(platform, scope, wanted, format, first)


async def _written(
    platform: Platform,
    scope: WorkspaceScope,
    wanted: Wanted,
    format: FileFormat,
    stretch: tuple[list[dict[str, Any]], UUID | None],
) -> AsyncIterator[bytes]:
    as_csv = format is FileFormat.CSV
    yield table.HEADER_LINE.encode() if as_csv else b'{"tasks":['
    begun = False
    while stretch[0]:
        rows, after = stretch
        if as_csv:
            yield table.csv_lines(rows).encode()
        else:
            yield (b"," if begun else b"") + b",".join(orjson.dumps(row) for row in rows)
        begun = True
        if after is None:
            break
        async with platform.database.reading() as session:
            stretch = await _stretch(session, scope, wanted, after)
    if not as_csv:
        yield b"]}"


async def _stretch(
    session: AsyncSession, scope: WorkspaceScope, wanted: Wanted, after: UUID | None
) -> tuple[list[dict[str, Any]], UUID | None]:
    """Rows, and where the next ones begin. A fixed number of queries, and sight is asked anew for each stretch."""
    found = await repository.page(
        session, scope, wanted.condition, project_id=wanted.project_id, after=after, limit=STRETCH
    )
    return await _rows(session, scope, found), found[-1][0].id if len(found) == STRETCH else None


async def _rows(
    session: AsyncSession, scope: WorkspaceScope, found: Sequence[tuple[Task, str]]
) -> list[dict[str, Any]]:
    ids = [task.id for task, _ in found]
    people = await repository.addresses(session, ids)
    labels = await repository.label_names(session, ids)
    links = await repository.links(session, ids)
    linked = {one.other_task_id for one in links} | {task.parent_id for task, _ in found if task.parent_id}
    keys = await repository.keys(session, scope, linked)
    checklists: dict[UUID, list[dict[str, Any]]] = {}
    for item in await repository.checklists(session, ids):
        checklists.setdefault(item.task_id, []).append({"content": item.content, "isDone": item.is_done})
    others: dict[tuple[UUID, str], list[str]] = {}
    for link in links:
        if link.other_task_id in keys:
            others.setdefault((link.task_id, link.kind), []).append(keys[link.other_task_id])
    return [
        {
            "key": f"{project_key}-{task.number}",
            "parent": keys.get(task.parent_id) if task.parent_id else None,
            "title": task.title,
            "description": task.description,
            "status": task.status,
            "priority": Priority.of(task.priority).value,
            "assignees": people.get(task.id, []),
            "labels": labels.get(task.id, []),
            "startOn": task.start_on.isoformat() if task.start_on else None,
            "startAt": written(task.start_at) if task.start_at else None,
            "dueOn": task.due_on.isoformat() if task.due_on else None,
            "dueAt": written(task.due_at) if task.due_at else None,
            "timeZone": task.time_zone,
            "estimateMinutes": task.estimate_minutes,
            "blocks": others.get((task.id, "BLOCKS"), []),
            "relates": others.get((task.id, "RELATES"), []),
            "duplicates": others.get((task.id, "DUPLICATES"), []),
            "fields": task.fields,
            "checklist": checklists.get(task.id, []),
            "createdAt": written(task.created_at),
            "completedAt": written(task.completed_at) if task.completed_at else None,
        }
        for task, project_key in found
    ]
