"""Refusals around exports and deletions."""

from pm_api.core.errors import Conflict, Gone, TooManyRequests


class ExportNotReady(Conflict):
    """This export is not ready yet, or has failed. Its `status` says which."""

    code = "export_not_ready"


class ExportGone(Gone):
    """This export is not kept any more. Ask for a new one with `POST /api/user/export`."""

    code = "export_gone"


class TooManyExports(TooManyRequests):
    """You have asked for your data several times today already. Try again tomorrow."""

    code = "too_many_exports"


class AccountNotDeletable(Conflict):
    """Something has to be settled before your account can be deleted: `obstacles` lists all of it.

    Nobody is left without an owner, and no money is left undecided. Settle each, then ask again.
    """

    code = "account_not_deletable"


class DeletionNotPending(Conflict):
    """Your account is not being deleted, so there is nothing to call off."""

    code = "deletion_not_pending"
