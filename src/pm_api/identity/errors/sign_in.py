"""Refusals around signing in through other providers, links sent by mail, and one's own password."""

from pm_api.core.errors import BadRequest, Conflict, Forbidden, Gone, NotFound, Unprocessable


class UnknownProvider(NotFound):
    """Nobody signs in through a provider of this name here; `GET /api/auth/providers` lists those there are."""

    code = "unknown_provider"


class SignInStateInvalid(BadRequest):
    """This sign-in was not begun in this browser, has ended already, or took longer than ten minutes. Begin again."""

    code = "sign_in_state_invalid"


class SignInRefused(Forbidden):
    """The provider did not confirm who you are, or you did not allow it. Begin again, or sign in another way."""

    code = "sign_in_refused"


class ProviderEmailUnverified(Forbidden):
    """The provider does not say that the e-mail address is yours.

    Confirm your address there and come back, or register here with a password. Once you are signed in you can link
    the provider to your account.
    """

    code = "provider_email_unverified"


class AccountEmailUnverified(Conflict):
    """There is an account with this e-mail address, and nobody has proved yet that the address is theirs.

    If the account is yours, open the link that was mailed when it was made. If you do not know the account, choose
    "forgot password": the link in that mail makes it yours and signs everybody else out.
    """

    code = "account_email_unverified"


class VerifyEmailFirst(Conflict):
    """Confirm your e-mail address first: open the link that was mailed to you, or ask for another one."""

    code = "verify_email_first"


class ProviderLinkedElsewhere(Conflict):
    """This account at the provider signs somebody else in here."""

    code = "provider_linked_elsewhere"


class ProviderAlreadyLinked(Conflict):
    """Another account at this provider signs you in already. Unlink that one first."""

    code = "provider_already_linked"


class LastSignInMethod(Conflict):
    """This is your only way to sign in. Set a password ("forgot password") or link another provider first."""

    code = "last_sign_in_method"


class SignInReturnNotAllowed(Unprocessable):
    """After signing in people are led to the addresses of this installation's own app only."""

    code = "sign_in_return_not_allowed"


class InvalidLink(Gone):
    """This link was used already, is too old, or was never given. Ask for a new one."""

    code = "invalid_link"


class EmailAlreadyVerified(Conflict):
    """Your e-mail address is confirmed already."""

    code = "email_already_verified"


class WrongPassword(Unprocessable):
    """The password is wrong. You stay signed in."""

    code = "wrong_password"


class NoPassword(Conflict):
    """Your account has no password yet. Choose "forgot password": the link in that mail sets one."""

    code = "no_password"
