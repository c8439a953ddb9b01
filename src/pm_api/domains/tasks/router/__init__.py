"""Routes of tasks."""

from typing import Final

from fastapi import APIRouter

from pm_api.domains.tasks.router import (
    attachments,
    board,
    bulk,
    checklists,
    comments,
    dependencies,
    duplicates,
    histories,
    interchange,
    recurring,
    tasks,
    time_entries,
    undoing,
    views,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    # The fixed names under /tasks/ come before the one that takes any.
    board.router,
    undoing.router,
    views.router,
    bulk.router,
    recurring.router,
    interchange.router,
    duplicates.router,
    tasks.router,
    comments.router,
    attachments.router,
    checklists.router,
    dependencies.router,
    time_entries.router,
    histories.router,
)
