"""Refusals around API keys and the second factor."""

from pm_api.core.errors import Conflict, Forbidden, Gone, TooManyRequests, Unauthorized, Unprocessable


class TotpRequired(Unauthorized):
    """This account asks for a second factor.

    Send the sign-in again with `totpCode`: the six digits that your authenticator app shows, or a recovery code.
    """

    code = "totp_required"


class TotpInvalid(Unauthorized):
    """This code is wrong, too old, or was used already.

    A code of the app is good for about a minute, and once: wait for the next one. Each recovery code is good once.
    """

    code = "totp_invalid"


class SecondFactorLocked(TooManyRequests):
    """Too many codes were tried for this account, so none is looked at for a while.

    `lockedUntil` says until when, and `Retry-After` in how many seconds. Codes of the app and recovery codes are
    counted apart, and recovery codes from each network address for itself: with a recovery code you may get in
    earlier. Whoever tried knows the first factor: if it was not you, change your password.
    """

    code = "second_factor_locked"


class WrongCode(Unprocessable):
    """This code is wrong, too old, or was used already.

    The same as `totp_invalid`, said to somebody who is signed in: they stay so.
    """

    code = "wrong_code"


class SecondFactorEnabled(Conflict):
    """You have a second factor already. Disable it before you set up another."""

    code = "second_factor_enabled"


class SecondFactorNotSetUp(Conflict):
    """There is no second factor waiting to be enabled. Begin with `POST /api/auth/2fa/setup`."""

    code = "second_factor_not_set_up"


class SecondFactorNotEnabled(Conflict):
    """You have no second factor."""

    code = "second_factor_not_enabled"


class ConfirmationRequired(Forbidden):
    """Prove that it is you: send your `password`, or sign in again and repeat this within ten minutes.

    Who signs in through another provider has no password here, and signs in there again.
    """

    code = "confirmation_required"


class ApiKeyNotAllowed(Forbidden):
    """No API key may do this, whatever its scopes.

    What concerns the person's own security is for the person alone: sessions, password, second factor, API keys, the
    end of the account; and so is the administration of this installation. Sign in, and use an access token.
    """

    code = "api_key_not_allowed"


class InsufficientScope(Forbidden):
    """This API key was not given the scope that the request needs (RFC 6750, section 3.1).

    `scope` names it. The scopes of a key never change: make another key.
    """

    code = "insufficient_scope"


class ApiKeyEnded(Gone):
    """This API key was revoked or has expired, and will not come back. Make another one."""

    code = "api_key_ended"


class InvalidExpiry(Unprocessable):
    """A key expires in the future, at most ten years ahead."""

    code = "invalid_expiry"
