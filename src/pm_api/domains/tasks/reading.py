"""Tasks as they are shown: with their project, people, labels and counts, in a fixed number of queries."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.projects.enums import StatusCategory
from pm_api.domains.projects.models import Project
from pm_api.domains.storage import service as storage
from pm_api.domains.tasks import rules
from pm_api.domains.tasks.enums import Priority
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository import reading as repository
from pm_api.domains.tasks.repository.reading import Counted
from pm_api.domains.tasks.schemas.tasks import LabelShown, PersonShown, ProjectShown, TaskCounts, TaskRead
from pm_api.identity import pictures
from pm_api.identity.repository import circles


async def reads(
    session: AsyncSession, platform: Platform, scope: AccountScope, tasks: Sequence[Task]
) -> list[TaskRead]:
    """The tasks, all of them in the caller's sight, in their order."""
    if not tasks:
        return []
    ids = [one.id for one in tasks]
    project_ids = {one.project_id for one in tasks}
    projects = await repository.projects(session, project_ids)
    categories = await repository.categories(session, project_ids)
    assignees = await repository.assignees(session, ids)
    labels = await repository.labels(session, ids)
    counts = await repository.counts(session, scope, ids)
    attached = await storage.count_of_tasks(session, ids)
    creators = await repository.names(session, {one.created_by_user_id for one in tasks})
    roles = await circles.roles_in_scopes(session, scope.user_id, {one.scope_id for one in tasks})
    found = []
    for task in tasks:
        project = projects[task.project_id]
        people = assignees.get(task.id, [])
        counted = _counts(counts.get(task.id, ()), attached.get(task.id, 0))
        role = roles.get(task.scope_id)
        found.append(
            TaskRead(
                id=task.id,
                key=f"{project.key}-{task.number}",
                number=task.number,
                workspace_id=task.workspace_id,
                project=project_shown(project),
                title=task.title,
                description=task.description,
                status=task.status,
                status_category=StatusCategory(categories[task.project_id, task.status]),
                priority=Priority.of(task.priority),
                assignees=[PersonShown(id=user_id, name=name) for user_id, name in people],
                labels=[
                    LabelShown(id=one.label_id, name=one.name, colour=one.colour) for one in labels.get(task.id, ())
                ],
                start_on=task.start_on,
                start_at=task.start_at,
                due_on=task.due_on,
                due_at=task.due_at,
                time_zone=task.time_zone,
                estimate_minutes=task.estimate_minutes,
                parent_id=task.parent_id,
                depth=task.depth,
                counts=counted,
                is_blocked=counted.blocked_by > 0,
                fields=task.fields,
                recurrence=task.recurrence,
                created_by=PersonShown(id=task.created_by_user_id, name=creators[task.created_by_user_id]),
                completed_at=task.completed_at,
                deleted_at=task.deleted_at,
                allowed_actions=rules.actions(
                    role,
                    scope.user_id,
                    task.created_by_user_id,
                    [user_id for user_id, _ in people],
                    is_archived=project.archived_at is not None,
                    is_deleted=task.deleted_at is not None,
                ),
                version=task.version,
                created_at=task.created_at,
                updated_at=task.updated_at,
            )
        )
    shown = (person for one in found for person in (*one.assignees, one.created_by))
    await pictures.put_in(session, platform, shown)
    return found


def project_shown(project: Project) -> ProjectShown:
    return ProjectShown(id=project.id, key=project.key, name=project.name, colour=project.colour)


def _counts(counted: Sequence[Counted], attached: int) -> TaskCounts:
    by_kind = {one.kind: one for one in counted}
    none = Counted("", 0, 0)
    subtasks, checklist = by_kind.get(repository.SUBTASKS, none), by_kind.get(repository.CHECKLIST, none)
    return TaskCounts(
        subtasks=subtasks.amount,
        subtasks_done=subtasks.done,
        comments=by_kind.get(repository.COMMENTS, none).amount,
        checklist=checklist.amount,
        checklist_done=checklist.done,
        blocked_by=by_kind.get(repository.BLOCKED_BY, none).amount,
        minutes_logged=by_kind.get(repository.MINUTES, none).amount,
        attachments=attached,
    )
