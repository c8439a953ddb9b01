"""What may be wrong with many events at once, and with following what changes."""

from pm_api.core.errors import Forbidden, Gone, NotFound, Unprocessable


class SyncTokenExpired(Gone):
    """What changed since this token is not known any more. Read everything again, without a token.

    A token is good for 30 days, and only as long as you see the same: it ends when you are let into a project that
    was there already, when you leave one, when one is deleted, archived or brought back, and when your role changes.
    """

    code = "sync_token_expired"


class InvalidSyncToken(Unprocessable):
    """The sync token was altered, or was given to somebody else or for another workspace.

    Send `nextSyncToken` back exactly as you got it; to begin, send none.
    """

    code = "invalid_sync_token"


class BulkEventsNotFound(NotFound):
    """At least one of the events is not there, or not in your sight; nothing was changed. `eventIds` names them."""

    code = "bulk_events_not_found"


class BulkEventsForbidden(Forbidden):
    """You may not do this to at least one of the events; nothing was changed. `items` says which, counted from 0."""

    code = "bulk_events_forbidden"
