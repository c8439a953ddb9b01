"""Words of projects."""

from enum import StrEnum


class ProjectState(StrEnum):
    """Where a project stands; on the wire its `status`."""

    PLANNED = "PLANNED"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    ARCHIVED = "ARCHIVED"


class StatusCategory(StrEnum):
    """What a step of a workflow means, whatever it is called. DONE and CANCELED end a task."""

    TODO = "TODO"
    IN_PROGRESS = "IN_PROGRESS"
    DONE = "DONE"
    CANCELED = "CANCELED"


ENDED: frozenset[StatusCategory] = frozenset({StatusCategory.DONE, StatusCategory.CANCELED})


class FieldKind(StrEnum):
    """What a field of a project's own holds. SELECT is one of its `options`, USER a member's id."""

    TEXT = "TEXT"
    NUMBER = "NUMBER"
    DATE = "DATE"
    SELECT = "SELECT"
    USER = "USER"


class ProjectRole(StrEnum):
    """What somebody is within a project. Administrators of the workspace are that in every project they see."""

    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    VIEWER = "VIEWER"


class Action(StrEnum):
    """What a caller may do with a project now."""

    UPDATE = "update"
    START = "start"
    STOP = "stop"
    COMPLETE = "complete"
    ARCHIVE = "archive"
    RESTORE = "restore"
    DELETE = "delete"
    MANAGE_MEMBERS = "manage_members"
    CREATE_TASK = "create_task"
    COPY = "copy"
