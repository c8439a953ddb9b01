"""What may be wrong with invitations and answers."""

from pm_api.core.errors import Conflict, Forbidden, NotFound, Unprocessable


class AttendeeCannotSee(Unprocessable):
    """Only members who see the event can be invited as members.

    `attendeeIds` names somebody who does not. Put them into the project, or invite them by their address.
    """

    code = "attendee_cannot_see"


class TooManyAttendees(Unprocessable):
    """At most 300 people can be invited to an event."""

    code = "too_many_attendees"


class NotInvited(Forbidden):
    """Only those who are invited answer, each for themselves; you are not on the list of this event or occurrence."""

    code = "not_invited"


class MayNotInvite(Forbidden):
    """Who is invited is decided by the organizer, by whoever made the event, and by admins who see what it is.

    Others who are invited may invite too where the event says so (`guestsCanInvite`).
    """

    code = "may_not_invite"


class AttendeeNotFound(NotFound):
    """Nobody has this invitation, or it is to another event."""

    code = "attendee_not_found"


class AlreadyInvitedToEvent(Conflict):
    """They are invited already."""

    code = "already_invited_to_event"


class InvalidProposal(Unprocessable):
    """A proposed time has a start and an end, the end not before the start, both within 100 years of now."""

    code = "invalid_proposal"


class OccurrenceNeeded(Unprocessable):
    """A series is snoozed occurrence by occurrence: name one of them."""

    code = "occurrence_needed"


class InvalidReminderSnooze(Unprocessable):
    """A reminder is put off until a time to come, 28 days ahead at most."""

    code = "invalid_reminder_snooze"


class OrganizerCannotSee(Unprocessable):
    """An event is handed over to a member who sees it and may make events there."""

    code = "organizer_cannot_see"


class InvitationGone(NotFound):
    """The link of this invitation leads nowhere: the event is gone, or the invitation was taken back."""

    code = "event_invitation_gone"


class AnswerOutdated(Conflict):
    """The event has changed since the page was opened that was answered on.

    Open the link again, look at the event as it is now, and answer anew.
    """

    code = "event_changed_meanwhile"


class FormRefused(Unprocessable):
    """The answer is not written as the form on the page writes it; open the link again."""

    code = "answer_form_invalid"
