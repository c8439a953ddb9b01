"""Shapes of signing in through providers, links sent by mail, passwords and the security page on the wire."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.identity.enums import SecurityEventKind
from pm_api.identity.schemas.people import Email, Password, SessionRead

LinkToken = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=200,
        description="The `token` of the link that was mailed.",
        examples=["a3C0c3V0bXVzdG5vdGJlZ3Vlc3NlZGF0YWxsYW55aG93"],
    ),
]

# --- other providers ---------------------------------------------------------------------------------------------


class SignInProviderRead(ApiModel):
    """A provider people sign in with."""

    name: str = Field(description="Its name in addresses.", examples=["google"])
    title: str = Field(description="What to write on the button.", examples=["Google"])
    start_url: str = Field(
        description="Lead the browser there; add `returnTo`.",
        examples=["https://api.acme.dev/api/auth/oauth/google/start"],
    )


class SignInProvidersAnswer(ApiModel):
    providers: list[SignInProviderRead] = Field(description="Those of this installation, in its own order.")


class OauthStarted(ApiModel):
    authorization_url: str = Field(
        description="Lead the browser that got this answer's cookie there, within ten minutes.",
        examples=["https://accounts.google.com/o/oauth2/v2/auth?client_id=…"],
    )


class OauthStart(ApiRequest):
    """All of it may be left out."""

    return_to: Text | None = Field(
        None,
        max_length=2000,
        description="Where to go afterwards: a path of the app, or an address of an allowed origin.",
        examples=["/dashboard"],
    )
    lead_token: Text | None = Field(
        None,
        max_length=2000,
        description="Of `POST /api/leads`: if the sign-in opens a new account, its credits move there.",
    )
    invitation_token: Text | None = Field(
        None,
        max_length=200,
        description="Of an invitation's link: if the sign-in opens a new account with the address that was invited,"
        " the person joins the workspace at once.",
    )


class OauthLinkStart(ApiRequest):
    """All of it may be left out."""

    return_to: Text | None = Field(
        None,
        max_length=2000,
        description="Where to go afterwards: a path of the app, or an address of an allowed origin.",
        examples=["/settings/security"],
    )
    password: Password | None = Field(
        None, description="Your password; not needed within ten minutes of signing in.", examples=["a long phrase"]
    )


class OauthOutcome(StrEnum):
    """How a visit at the provider ended."""

    SIGNED_IN = "SIGNED_IN"
    LINKED = "LINKED"
    SECOND_FACTOR_REQUIRED = "SECOND_FACTOR_REQUIRED"


class OauthFinished(ApiModel):
    """What a program is told; a browser is led to `returnTo` instead."""

    outcome: OauthOutcome = Field(
        description="SIGNED_IN: the refresh cookie is set. LINKED: the provider signs you in from now on."
        " SECOND_FACTOR_REQUIRED: send the code to `POST /api/auth/oauth/second-factor`.",
        examples=["SIGNED_IN"],
    )
    return_to: str = Field(description="Where the person wanted to go.", examples=["https://app.acme.dev/dashboard"])


class OauthSecondFactor(ApiRequest):
    totp_code: Text = Field(
        min_length=6,
        max_length=40,
        description="Six digits of the authenticator app, or a recovery code.",
        examples=["492039"],
    )


# --- address and password ------------------------------------------------------------------------------------------


class EmailLink(ApiRequest):
    token: LinkToken


class EmailVerified(ApiModel):
    email: str = Field(description="The address that is proved now.", examples=["ann@acme.dev"])
    email_verified_at: Timestamp = Field(description="When it was proved.")


class PasswordForgotten(ApiRequest):
    email: Email


class PasswordReset(ApiRequest):
    token: LinkToken
    password: Password = Field(
        description="The new password, of ten characters or more.", examples=["correct horse battery staple"]
    )


class PasswordChange(ApiRequest):
    old_password: Password = Field(description="Your password until now.", examples=["my old password"])
    password: Password = Field(
        description="The new password, of ten characters or more.", examples=["correct horse battery staple"]
    )


class EmailChange(ApiRequest):
    email: Email
    password: Password | None = Field(
        None, description="Your password; not needed within ten minutes of signing in.", examples=["a long phrase"]
    )


# --- the security page ---------------------------------------------------------------------------------------------


class SecondFactorRead(ApiModel):
    """Whether a second factor is asked for."""

    enabled: bool = Field(description="True when a code is asked for at every sign-in.", examples=[True])
    enabled_at: Timestamp | None = Field(description="Since when; null while it is not.")
    recovery_codes_left: int = Field(description="Unused recovery codes.", examples=[10])


class LinkedProvider(ApiModel):
    """A provider that signs you in."""

    provider: str = Field(description="Its name in addresses.", examples=["google"])
    title: str = Field(description="What it is called.", examples=["Google"])
    email: str | None = Field(description="The address it told last; null when it told none.")
    linked_at: Timestamp = Field(description="When it was linked.")
    last_used_at: Timestamp = Field(description="When you last signed in with it.")


class SignInMethods(ApiModel):
    """How you get in."""

    has_password: bool = Field(description="Whether a password was set.", examples=[True])
    providers: list[LinkedProvider] = Field(description="Providers that were linked, by name.")


class SecurityEventRead(ApiModel):
    """Something that happened at the door of your account."""

    id: UUID = Field(description="The event's id.")
    kind: SecurityEventKind = Field(description="What happened.", examples=["SIGNED_IN_NEW_DEVICE"])
    session_id: UUID | None = Field(description="The session it was about or done in; null when there was none.")
    user_agent: str = Field(description="What the device said it was; may be empty.", examples=["Mozilla/5.0"])
    address: str = Field(description="Network address; may be empty.", examples=["203.0.113.7"])
    details: dict[str, Any] = Field(description="More, depending on `kind`.", examples=[{"method": "google"}])
    created_at: Timestamp = Field(description="When it happened.")


class SecurityRead(ApiModel):
    """Who gets into your account, and how."""

    email: str = Field(description="Your address.", examples=["ann@acme.dev"])
    email_verified_at: Timestamp | None = Field(description="When you proved it; null before.")
    sessions: list[SessionRead] = Field(
        description="Where you are signed in, newest first, at most 50; `GET /api/auth/sessions` lists all."
    )
    second_factor: SecondFactorRead = Field(description="The second factor.")
    sign_in_methods: SignInMethods = Field(description="Password and providers.")
    events: list[SecurityEventRead] = Field(description="What happened last, newest first, at most 50.")


class SecurityAnswer(ApiModel):
    security: SecurityRead = Field(description="As it is now.")
