"""Shapes of identity on the wire."""

from typing import Annotated
from uuid import UUID

import email_validator
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from pm_api.core.schema import ApiModel, ApiRequest, Name, Text, Timestamp, storable
from pm_api.identity.passwords import MAXIMUM_LENGTH
from pm_api.identity.permissions import KeyScope, Role


def normalised_email(text: str) -> str:
    """The one spelling under which an address is stored and looked up; raises ValueError."""
    try:
        found = email_validator.validate_email(storable(text).strip(), check_deliverability=False)
    except email_validator.EmailNotValidError:
        raise ValueError("is not an e-mail address") from None
    return found.normalized.lower()


def not_null(value: object) -> object:
    if value is None:
        raise ValueError("must not be null; leave the field out to keep it as it is")
    return value


Email = Annotated[
    str,
    Field(
        max_length=320, description="E-mail address; case and outer blanks do not count.", examples=["ann@acme.dev"]
    ),
    AfterValidator(normalised_email),
]
Password = Annotated[
    Text, Field(max_length=MAXIMUM_LENGTH, description="Password.", examples=["correct horse battery staple"])
]
PersonName = Annotated[Name, Field(max_length=100)]
WorkspaceName = Annotated[Name, Field(max_length=100)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](-?[a-z0-9])*$", min_length=2, max_length=60)]
Description = Annotated[Text, StringConstraints(max_length=2000)]

_SLUG_TEXT = "Short name in addresses: lower-case letters, digits and single hyphens."


class UserRead(ApiModel):
    """A person, as they see themselves."""

    id: UUID = Field(description="The person's id.")
    email: str = Field(description="E-mail address, normalised.", examples=["ann@acme.dev"])
    name: str = Field(description="Name shown to others.", examples=["Ann Archer"])
    avatar: str | None = Field(None, description="Address of their picture; null without one.")
    is_admin: bool = Field(description="Administrator of this installation.", examples=[False])
    email_verified_at: Timestamp | None = Field(description="When the address was proved; null before.")
    locale: str = Field(description="BCP 47 language tag.", examples=["en"])
    time_zone: str = Field(description="IANA time zone.", examples=["Europe/Berlin"])
    deletes_at: Timestamp | None = Field(
        None,
        description="When this account will be erased, because its person has deleted it; until then "
        "`POST /api/user/account/restore` keeps it. Null otherwise.",
    )
    created_at: Timestamp = Field(description="When the account was opened.")
    version: int = Field(description="Counts changes.", examples=[1])


class SignIn(ApiRequest):
    email: Email
    password: Password
    totp_code: Text | None = Field(
        None,
        max_length=40,
        description="Six digits of the authenticator app, or a recovery code; asked for with `totp_required`.",
        examples=["492039"],
    )


class SignInAnswer(ApiModel):
    """A live session."""

    user: UserRead = Field(description="Who signed in.")
    access_token: str = Field(description="JWT for `Authorization: Bearer`.")
    expires_in: int = Field(description="Seconds the access token lives.", examples=[900])
    refresh_token: str | None = Field(
        None,
        exclude_if=lambda token: token is None,
        description="Continues the session once. Browsers (requests with `Origin`) get it as a cookie only.",
    )


class RefreshRequest(ApiRequest):
    refresh_token: Text | None = Field(None, max_length=200, description="Unset: the cookie is used.")


class MembershipRead(ApiModel):
    """A workspace the caller belongs to."""

    id: UUID = Field(description="The workspace's id.")
    name: str = Field(description="The workspace's name.", examples=["Acme"])
    slug: str = Field(description="The workspace's slug.", examples=["acme"])
    role: Role = Field(description="The caller's role there.", examples=["OWNER"])


class MeAnswer(ApiModel):
    user_id: UUID = Field(description="The caller's id; for an API key, the id of who made it.")
    user: UserRead | None = Field(
        description="The caller; for an API key, who made it. Null for a key of one workspace, which reads nothing of"
        " its maker's own."
    )
    api_key_id: UUID | None = Field(description="The API key in use; null for a session.")
    scopes: list[KeyScope] | None = Field(
        description="What the API key in use may do; null for a session, which may do all its person may.",
        examples=[["profile:read"]],
    )
    workspaces: list[MembershipRead] = Field(
        description="Newest first, at most 200; `GET /api/workspaces` lists all of them. For a key of one workspace"
        " that one."
    )


class SessionRead(ApiModel):
    """One sign-in on one device."""

    id: UUID = Field(description="The session's id.")
    created_at: Timestamp = Field(description="When the person signed in.")
    last_used_at: Timestamp = Field(description="When it was last refreshed.")
    expires_at: Timestamp = Field(description="When it ends if it is not refreshed.")
    user_agent: str = Field(description="What the device said it was.", examples=["Mozilla/5.0"])
    address: str = Field(description="Network address of the sign-in.", examples=["203.0.113.7"])
    current: bool = Field(description="The session of this request.", examples=[True])


class SessionsAnswer(ApiModel):
    sessions: list[SessionRead] = Field(description="Live sessions, newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class JsonWebKey(ApiModel):
    """RFC 7517, RFC 8037."""

    kty: str = Field(description="Key type.", examples=["OKP"])
    crv: str = Field(description="Curve.", examples=["Ed25519"])
    x: str = Field(description="The public key, base64url.")
    kid: str = Field(description="Key id, as in the token's header or the document's signature.", examples=["key1"])
    use: str = Field(description="What the key is for.", examples=["sig"])
    alg: str = Field(description="Algorithm.", examples=["EdDSA"])


class JsonWebKeys(ApiModel):
    keys: list[JsonWebKey] = Field(description="Every key whose tokens are accepted, or whose documents are ours.")


class WorkspaceCreate(ApiRequest):
    name: WorkspaceName = Field(description="Name of the workspace.", examples=["Acme"])
    slug: Slug | None = Field(None, description=f"{_SLUG_TEXT} Unset: made from the name.", examples=["acme"])
    description: Description | None = Field(None, description="What the workspace is for.")


class WorkspaceUpdate(ApiRequest):
    """Only the fields sent are changed."""

    name: Annotated[WorkspaceName | None, BeforeValidator(not_null)] = Field(None, description="New name.")
    slug: Annotated[Slug | None, BeforeValidator(not_null)] = Field(None, description=f"New slug. {_SLUG_TEXT}")
    description: Description | None = Field(None, description="New description; null clears it.")


class WorkspaceTransfer(ApiRequest):
    user_id: UUID = Field(description="The member who becomes owner.")


class WorkspaceRead(ApiModel):
    """A workspace, as one of its members sees it."""

    id: UUID = Field(description="The workspace's id.")
    name: str = Field(description="Name of the workspace.", examples=["Acme"])
    slug: str = Field(description=_SLUG_TEXT, examples=["acme"])
    description: str | None = Field(description="What the workspace is for.")
    logo: str | None = Field(None, description="Address of its picture; null without one.")
    role: Role = Field(description="The caller's role here.", examples=["OWNER"])
    archived_at: Timestamp | None = Field(description="When it was archived; null while it is in use.")
    deleted_at: Timestamp | None = Field(description="When it was deleted; it can be restored for 30 days.")
    created_at: Timestamp = Field(description="When it was made.")
    updated_at: Timestamp = Field(description="When it last changed.")
    version: int = Field(description="Counts changes of the workspace, not of who belongs to it.", examples=[1])


class WorkspaceAnswer(ApiModel):
    workspace: WorkspaceRead = Field(description="The workspace as it is now.")


class WorkspacesAnswer(ApiModel):
    workspaces: list[WorkspaceRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class MemberUpdate(ApiRequest):
    role: Role = Field(description="The member's new role.", examples=["MEMBER"])


class MemberRead(ApiModel):
    """A person's place in a workspace."""

    id: UUID = Field(description="The membership's id, used by the team routes.")
    workspace_id: UUID = Field(description="The workspace.")
    user_id: UUID = Field(description="The person.")
    name: str = Field(description="The person's name.", examples=["Ann Archer"])
    avatar: str | None = Field(None, description="Address of their picture; null without one.")
    email: str = Field(description="The person's address.", examples=["ann@acme.dev"])
    role: Role = Field(description="OWNER > ADMIN > MEMBER > VIEWER.", examples=["MEMBER"])
    joined_at: Timestamp = Field(description="When the person joined.")
    version: int = Field(description="Counts changes.", examples=[1])


class MemberAnswer(ApiModel):
    member: MemberRead = Field(description="The member as they are now.")


class MembersAnswer(ApiModel):
    members: list[MemberRead] = Field(description="In the order they joined.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
