"""Refusals of identity."""

from pm_api.core.errors import Conflict, Forbidden, Gone, NotFound, Unauthorized, Unprocessable


class InvalidCredentials(Unauthorized):
    """The e-mail address or the password is wrong."""

    code = "invalid_credentials"


class InvalidRefreshToken(Unauthorized):
    """This refresh token is unknown, expired or was ended. Sign in again."""

    code = "invalid_refresh_token"


class RefreshTokenReused(Unauthorized):
    """This refresh token was already exchanged, so the whole session has been ended for safety. Sign in again."""

    code = "refresh_token_reused"


class EmailTaken(Conflict):
    """There is an account with this e-mail address already. Sign in, or reset the password."""

    code = "email_taken"


class WeakPassword(Unprocessable):
    """This password is too short or stands on the lists that attackers try first. Choose a longer phrase."""

    code = "weak_password"


class SlugTaken(Conflict):
    """Another workspace has this slug already."""

    code = "slug_taken"


class LastOwner(Conflict):
    """A workspace keeps at least one owner. Make somebody else owner first."""

    code = "last_owner"


class RoleTooHigh(Forbidden):
    """Nobody grants a role above their own, and only an owner changes or removes somebody of their own rank."""

    code = "role_too_high"


class InvalidReassignment(Unprocessable):
    """`reassignTo` must be another member of the workspace who does more than read: their membership's id."""

    code = "invalid_reassignment"


class AlreadyMember(Conflict):
    """This person belongs to the workspace already."""

    code = "already_member"


class RestoreExpired(Gone):
    """This was deleted more than 30 days ago and can no longer be restored."""

    code = "restore_expired"


class WorkspaceNotFound(NotFound):
    """No workspace with this id exists that you are a member of."""

    code = "workspace_not_found"


class InvalidTransition(Conflict):
    """The present state of the thing does not allow this step."""

    code = "invalid_transition"


class OriginNotAllowed(Forbidden):
    """A browser on an unknown site may not use the refresh cookie."""

    code = "origin_not_allowed"


class RegistrationRequired(Forbidden):
    """Register first; the credits come along.

    A lead token is good for trying the product: spending and reading the credits it came with. Everything else needs
    an account. Send the token as `leadToken` to `POST /api/auth/register`, and what is left of them moves to it.
    """

    code = "registration_required"


def role_lacks(role: str, permission: str) -> Forbidden:
    """The refusal of a member whose role does not have a permission."""
    return Forbidden(f"Your role here ({role}) does not include {permission}.")
