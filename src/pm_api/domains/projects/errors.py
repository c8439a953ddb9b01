"""Refusals of projects."""

from pm_api.core.errors import Conflict, Unprocessable


class ProjectArchived(Conflict):
    """The project is archived, and so it can only be read. Restore it first (`POST /api/projects/{id}/restore`)."""

    code = "project_archived"


class ProjectKeyTaken(Conflict):
    """Another project of this workspace has this key already; a deleted one keeps its key for 30 days."""

    code = "project_key_taken"


class LastProjectAdmin(Conflict):
    """A private project keeps at least one ADMIN, or nobody could manage it. Make somebody else ADMIN first."""

    code = "last_project_admin"


class NotAWorkspaceMember(Unprocessable):
    """Only members of the workspace can be put into its projects. Invite this person into the workspace first."""

    code = "not_a_workspace_member"


class StatusKeyTaken(Conflict):
    """The project has a status with this key already."""

    code = "status_key_taken"


class StatusInUse(Conflict):
    """There are tasks in this status. Say with `moveTo` in which other status of the project they go on."""

    code = "status_in_use"


class LastStatusOfItsKind(Conflict):
    """A workflow keeps at least one status of the category TODO and one of DONE."""

    code = "last_status_of_its_kind"


class TooManyStatuses(Conflict):
    """A project has at most 50 statuses."""

    code = "too_many_statuses"


class InvalidStatusOrder(Unprocessable):
    """The order must name every status of the project, each exactly once. Read them again: one has come or gone."""

    code = "invalid_status_order"


class LabelExists(Conflict):
    """The project has a label with this name already; case does not count."""

    code = "label_exists"


class TooManyLabels(Conflict):
    """A project has at most 500 labels."""

    code = "too_many_labels"


class FieldKeyTaken(Conflict):
    """The project has a field with this key already."""

    code = "field_key_taken"


class TooManyFields(Conflict):
    """A project has at most 50 fields of its own."""

    code = "too_many_fields"
