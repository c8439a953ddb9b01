"""Taking back, on the wire."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest
from pm_api.domains.tasks.schemas.tasks import TaskRead


class UndoRequest(ApiRequest):
    """Which change to take back."""

    undo_token: UUID = Field(description="`undoToken` of the answer that made the change.")


class UndoAnswer(ApiModel):
    """The tasks as they are again."""

    tasks: list[TaskRead] = Field(description="Those that are there; what the change had created is deleted.")
