"""Imports on the wire."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel


class CellShown(ApiModel):
    """What is wrong with one cell."""

    column: str = Field(description="The column; empty when it is the whole row.", examples=["status"])
    detail: str = Field(description="What is wrong.", examples=["is no status of the project"])


class ImportRow(ApiModel):
    """What became of one row."""

    row: int = Field(description="Which one, counted from 1 below the header.", examples=[1])
    key: str | None = Field(description="Its key in the file, by which other rows name it.", examples=["WEB-42"])
    task_id: UUID | None = Field(description="The task that was made of it; null in a dry run.")
    number: int | None = Field(description="The number it got in the project; null in a dry run.")
    errors: list[CellShown] = Field(description="What is wrong with it.")


class ImportReport(ApiModel):
    """What became of a file."""

    rows: list[ImportRow] = Field(description="Row by row.")
    created: int = Field(description="How many tasks were made.")
    failed: int = Field(description="How many rows cannot be imported; without a dry run then none is.")
    labels_created: list[str] = Field(description="Labels that were made, or would be.")
    dry_run: bool = Field(description="Whether nothing was written.")


class ImportAnswer(ApiModel):
    """What became of a file."""

    report: ImportReport = Field(description="Row by row.")
    undo_token: UUID | None = Field(
        description="Takes the tasks back by `POST /api/tasks/undo`, for ten minutes, and leaves labels where they"
        " are; null when no task was made."
    )
