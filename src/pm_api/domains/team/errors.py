"""Refusals of the team."""

from pm_api.core.errors import Conflict, Forbidden, Gone, NotFound, Unprocessable


class InvitationNotFound(NotFound):
    """There is no such invitation, or its link was replaced by a newer one: use the link in the newest mail."""

    code = "invitation_not_found"


class InvitationExpired(Gone):
    """This invitation was good for seven days. Ask whoever invited you to send it again."""

    code = "invitation_expired"


class InvitationClosed(Gone):
    """This invitation was accepted, declined or withdrawn already. Ask whoever invited you for another."""

    code = "invitation_closed"


class InvitationProjectsGone(Gone):
    """The projects this invitation was for are gone, or its sender manages them no more. Ask for another one."""

    code = "invitation_projects_gone"


class GuestNeedsProject(Unprocessable):
    """A GUEST sees single projects alone, so they are invited to one at least: name it in `projects`."""

    code = "guest_needs_project"


class ProjectsNotYours(Unprocessable):
    """You can only invite into projects that you manage; `details` names those that are not, or are not there."""

    code = "projects_not_yours"


class InvitationNotOpen(Conflict):
    """Only an invitation that waits for its answer can be sent again, changed or withdrawn. Invite once more."""

    code = "invitation_not_open"


class EmailMismatch(Forbidden):
    """This invitation is for another address than the one you are signed in with.

    Sign in with the address it was sent to, or ask an admin of the workspace to send it to yours
    (`PATCH /api/team/invitations/{id}`).
    """

    code = "email_mismatch"


class AlreadyInvited(Conflict):
    """An invitation to this address waits for its answer already."""

    code = "already_invited"


class TooManyInvitations(Conflict):
    """A workspace has at most 1000 invitations waiting for an answer. Withdraw some that nobody will answer."""

    code = "too_many_invitations"


class BulkRefused(Conflict):
    """It cannot be done to all of these members, so it was done to none; `details` says to whom not, and why."""

    code = "bulk_refused"


class TooManyReceivers(Unprocessable):
    """One message goes to at most 1000 people. Name the members it is for."""

    code = "too_many_receivers"


class NoReceivers(Unprocessable):
    """Nobody but you would get this message: name other members of the workspace."""

    code = "no_receivers"
