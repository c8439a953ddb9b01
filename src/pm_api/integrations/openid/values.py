"""What a sign-in provider says, in our nouns, and the two ways in which it can fail."""

from dataclasses import dataclass

from pm_api.core.errors import Unavailable


class SignInProviderUnavailable(Unavailable):
    """The sign-in provider does not answer just now; try again in a moment, or sign in another way."""

    code = "sign_in_provider_unavailable"


class ProviderRefused(Exception):
    """The provider did not confirm who somebody is, or is not to be believed. The text is for the log."""


@dataclass(frozen=True, slots=True)
class Identified:
    """Who somebody is at a provider. `subject` never changes there; the address may, and only a verified one proves
    anything.
    """

    provider: str
    subject: str
    email: str | None
    email_is_verified: bool
    name: str
