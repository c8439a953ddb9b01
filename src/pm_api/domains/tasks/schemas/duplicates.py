"""The duplicate hint on the wire."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest
from pm_api.domains.tasks.schemas.tasks import TaskChangedAnswer, TaskRead, Title


class TaskDuplicatesRequest(ApiRequest):
    """A title somebody is about to give to a new task."""

    project_id: UUID = Field(description="The project it would be made in.")
    title: Title = Field(description="Its title.", examples=["Write the release notes"])


class PossibleDuplicateTask(ApiModel):
    """A task that may be the same."""

    task: TaskRead = Field(description="The task.")
    likeness: float = Field(description="How many of their words the titles share, from 0 to 1.", examples=[0.8])


class TaskDuplicatesAnswer(ApiModel):
    """What may be there already."""

    possible_duplicates: list[PossibleDuplicateTask] = Field(description="At most five, the most alike first.")


class TaskCreatedAnswer(TaskChangedAnswer):
    """A new task, and those of its project that may be the same."""

    possible_duplicates: list[PossibleDuplicateTask] = Field(
        description="Up to five tasks that may be the same, the most alike first."
    )
