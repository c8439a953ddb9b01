"""Many tasks, written by SQL in one go, with people, labels and subtasks as a project has them."""

from typing import Final
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.projects.models import Project
from pm_api.domains.tasks import ordering

_TASKS: Final = """
INSERT INTO tasks (id, workspace_id, scope_id, project_id, number, title, description, status, priority, board_key,
                   due_on, depth, fields, created_by_user_id, version, created_at, updated_at, parent_id)
SELECT (lpad(to_hex(:milliseconds + n), 12, '0') || '7' || substr(md5(:project || n), 1, 3) || '8'
        || substr(md5(n || :project), 1, 15))::uuid,
       :workspace, :scope, CAST(:project AS uuid), :last + n, 'Task ' || n, repeat('What is to be done. ', 5),
       (ARRAY['TODO', 'TODO', 'IN_PROGRESS', 'DONE'])[1 + n % 4], n % 5, keys.key,
       CASE WHEN n % 3 > 0 THEN date '2026-01-01' + CAST(n % 299 AS int) END, 0, '{}', :creator, 1,
       CAST(:now AS timestamptz) - (:count - n) * interval '1 second',
       CAST(:now AS timestamptz) - (:count - n) * interval '1 second', NULL
FROM unnest(CAST(:keys AS text[])) WITH ORDINALITY AS keys (key, n)
"""
_SUBTASKS: Final = """
UPDATE tasks AS below SET parent_id = above.id, depth = 1 FROM tasks AS above
WHERE below.project_id = CAST(:project AS uuid) AND above.project_id = below.project_id AND below.number > :last
AND below.number % 10 = 5 AND above.number = below.number - 1
"""
_ASSIGNEES: Final = """
INSERT INTO task_assignees (task_id, user_id, workspace_id, assigned_at)
SELECT id, :creator, workspace_id, created_at FROM tasks
WHERE project_id = CAST(:project AS uuid) AND number > :last AND number % 2 = 0
"""
_LABELS: Final = """
INSERT INTO task_labels (task_id, label_id, workspace_id)
SELECT tasks.id, project_labels.id, tasks.workspace_id
FROM tasks JOIN project_labels ON project_labels.project_id = tasks.project_id
WHERE tasks.project_id = CAST(:project AS uuid) AND number > :last AND number % 7 < 3
"""
_COMMENTS: Final = """
INSERT INTO task_comments (id, workspace_id, scope_id, task_id, author_user_id, body, version, created_at, updated_at)
SELECT gen_random_uuid(), workspace_id, scope_id, id, :creator, 'Looks good.', 1, created_at, created_at
FROM tasks CROSS JOIN generate_series(1, 2)
WHERE project_id = CAST(:project AS uuid) AND number > :last AND number % 4 = 0
"""
_CHECKLISTS: Final = """
INSERT INTO task_checklist_items (id, workspace_id, scope_id, task_id, content, is_done, position, version)
SELECT gen_random_uuid(), workspace_id, scope_id, id, 'A step', true, 0, 1 FROM tasks
WHERE project_id = CAST(:project AS uuid) AND number > :last AND number % 4 = 1
"""


async def add_tasks(platform: Platform, project_id: UUID, count: int) -> None:
    """So many more tasks, every second assigned, some labelled, every tenth below the one before."""
    async with platform.database.transaction() as session:
        project = await session.scalar(select(Project).where(Project.id == project_id).with_for_update())
        assert project is not None
        facts = {
            "project": str(project_id),
            "workspace": project.workspace_id,
            "scope": project.scope_id,
            "creator": project.created_by_user_id,
            "last": project.last_task_number,
            "count": count,
            "now": platform.clock.now(),
            "milliseconds": int(platform.clock.now().timestamp() * 1000) - count - 10_000,
            "keys": ordering.spread(None, None, count),
        }
        for statement in (_TASKS, _SUBTASKS, _ASSIGNEES, _LABELS, _COMMENTS, _CHECKLISTS):
            await _run(session, statement, facts)
        project.last_task_number += count


async def _run(session: AsyncSession, statement: str, facts: dict[str, object]) -> None:
    await session.execute(text(statement), {name: one for name, one in facts.items() if f":{name}" in statement})
