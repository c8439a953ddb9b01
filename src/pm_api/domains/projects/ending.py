"""Projects nobody can restore any more: all that is in them is deleted, some rows a transaction, and then they."""

from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.db import database_unreachable
from pm_api.core.platform import Platform
from pm_api.domains.projects import contents, rules
from pm_api.domains.projects.models import Project
from pm_api.domains.projects.repository import projects as repository
from pm_api.domains.projects.repository.projects import Expired
from pm_api.domains.search import service as search

ROWS_AT_A_TIME: Final = 1000
PROJECTS_AT_A_TIME: Final = 100

_log = structlog.get_logger(__name__)


async def erase_expired(platform: Platform) -> None:
    """Each stands alone: what cannot be deleted now is left for the next run, and keeps no other from going."""
    after: Expired | None = None
    while True:
        before = platform.clock.now() - rules.RESTORABLE_FOR
        async with platform.database.reading() as session:
            found = await repository.expired(session, before, after, PROJECTS_AT_A_TIME)
        for one in found:
            try:
                await _erase(platform, one.project_id)
            except Exception as failure:
                if database_unreachable(failure):
                    raise
                _log.exception("project_not_erased", project_id=str(one.project_id))
        if len(found) < PROJECTS_AT_A_TIME:
            return
        after = found[-1]


async def _erase(platform: Platform, project_id: UUID) -> None:
    while await _erase_some(platform, project_id):
        pass


async def _erase_some(platform: Platform, project_id: UUID) -> bool:
    """Whether there may be more."""
    async with platform.database.transaction() as session:
        project = await _held(session, platform, project_id)
        if project is None:
            return False
        if await contents.erase(session, platform, project_id, ROWS_AT_A_TIME):
            return True
        if await search.drop_project(session, project_id, limit=ROWS_AT_A_TIME):
            return True
        await repository.drop(session, project)
        return False


async def _held(session: AsyncSession, platform: Platform, project_id: UUID) -> Project | None:
    """Looked at again under its lock: None when it is gone, or was restored meanwhile."""
    await repository.lock_projects(session, [project_id])
    project = await repository.by_id(session, project_id)
    if project is None or project.deleted_at is None:
        return None
    return project if platform.clock.now() - project.deleted_at > rules.RESTORABLE_FOR else None
