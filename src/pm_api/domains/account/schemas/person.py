"""Shapes of a person's profile, settings, exports and deletion."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import BeforeValidator, Field, StringConstraints

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.account.enums import DeletionStatus, ExportStatus, Theme
from pm_api.domains.account.schemas.registration import Locale, TimeZone
from pm_api.domains.notifications.preference_schemas import PreferencesRead, PreferencesUpdate
from pm_api.identity.passwords import MAXIMUM_LENGTH
from pm_api.identity.schemas.people import PersonName

VERSION: Final = "Counts changes of the account; profile and account share it."


def _not_null(value: object) -> object:
    if value is None:
        raise ValueError("must not be null; leave the field out to keep it as it is")
    return value


def _nothing_if_blank(value: object) -> object:
    """An emptied field of a form is no text."""
    return None if isinstance(value, str) and not value.strip() else value


JobTitle = Annotated[
    Annotated[Text, StringConstraints(strip_whitespace=True, max_length=100)] | None,
    BeforeValidator(_nothing_if_blank),
]
About = Annotated[
    Annotated[Text, StringConstraints(strip_whitespace=True, max_length=2000)] | None,
    BeforeValidator(_nothing_if_blank),
]


class ProfileRead(ApiModel):
    """What you say of yourself."""

    id: UUID = Field(description="Your id.")
    email: str = Field(
        description="Your address; `POST /api/auth/change-email` changes it.", examples=["ann@acme.dev"]
    )
    email_verified_at: Timestamp | None = Field(description="When the address was proved; null before.")
    name: str = Field(description="Name shown to others.", examples=["Ann Archer"])
    avatar: str | None = Field(
        None, description="Address of your picture, which `POST /api/user/avatar` puts on; null without one."
    )
    job_title: str | None = Field(description="What you do; null when you say nothing.", examples=["Designer"])
    about: str | None = Field(description="A few words about yourself; null when there are none.")
    created_at: Timestamp = Field(description="When the account was opened.")
    updated_at: Timestamp = Field(description="When it last changed.")
    version: int = Field(description=VERSION, examples=[1])


class ProfileAnswer(ApiModel):
    profile: ProfileRead = Field(description="Your profile as it is now.")


class ProfileWrite(ApiRequest):
    """The whole profile: what is left out is empty."""

    name: PersonName = Field(description="Name shown to others.", examples=["Ann Archer"])
    job_title: JobTitle = Field(None, description="What you do.", examples=["Designer"])
    about: About = Field(None, description="A few words about yourself.", examples=["I draw."])


class SettingsRead(ApiModel):
    """How the product speaks to you."""

    locale: str = Field(description="BCP 47 language tag.", examples=["en"])
    time_zone: str = Field(description="IANA time zone.", examples=["Europe/Berlin"])
    theme: Theme = Field(description="SYSTEM follows the device.", examples=["DARK"])
    notifications: PreferencesRead = Field(
        description="What you are told, where and when; the same as `GET /api/notifications/preferences`."
    )
    version: int = Field(description="Counts changes of any of it.", examples=[1])


class SettingsAnswer(ApiModel):
    settings: SettingsRead = Field(description="Your settings as they are now.")


class SettingsUpdate(ApiRequest):
    """Only the fields sent are changed."""

    locale: Annotated[Locale | None, BeforeValidator(_not_null)] = Field(
        None, description="BCP 47 language tag.", examples=["de"]
    )
    time_zone: Annotated[TimeZone | None, BeforeValidator(_not_null)] = Field(
        None, description="IANA time zone.", examples=["Europe/Berlin"]
    )
    theme: Annotated[Theme | None, BeforeValidator(_not_null)] = Field(
        None, description="SYSTEM follows the device.", examples=["DARK"]
    )
    notifications: Annotated[PreferencesUpdate | None, BeforeValidator(_not_null)] = Field(
        None, description="What you are told, where and when; of this too, only what is sent is changed."
    )


class ExportRead(ApiModel):
    """A copy of everything of yours, as a zip of JSON files."""

    id: UUID = Field(description="The export's id.")
    status: ExportStatus = Field(
        description="PENDING and RUNNING are under way; READY can be downloaded until `expiresAt`; EXPIRED is gone, "
        "also when a newer one took its place; FAILED did not come to be: `failureCode` says why.",
        examples=["READY"],
    )
    size_bytes: int | None = Field(description="Size of the zip; null before it is ready.", examples=[20480])
    files: int | None = Field(description="How many files are in it; null before it is ready.", examples=[24])
    failure_code: str | None = Field(
        description="`too_large` or `failed`; null unless it failed.", examples=["too_large"]
    )
    created_at: Timestamp = Field(description="When you asked for it.")
    finished_at: Timestamp | None = Field(description="When it was ready, or failed; null before.")
    expires_at: Timestamp | None = Field(description="Until when it can be downloaded; null unless it was ready.")
    version: int = Field(description="Counts changes.", examples=[1])


class ExportAnswer(ApiModel):
    export: ExportRead = Field(description="The export as it is now.")


class ExportsAnswer(ApiModel):
    exports: list[ExportRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class AccountDelete(ApiRequest):
    """Proof that it is you."""

    password: Text | None = Field(
        None,
        max_length=MAXIMUM_LENGTH,
        description="Your password. Leave it out within ten minutes of signing in.",
        examples=["correct horse battery staple"],
    )


class DeletionRead(ApiModel):
    """A deletion that can still be called off."""

    id: UUID = Field(description="The deletion's id.")
    status: DeletionStatus = Field(description="PENDING: it can be called off.", examples=["PENDING"])
    requested_at: Timestamp = Field(description="When you asked for it.")
    deletes_at: Timestamp = Field(
        description="Until then everything works, and `POST /api/user/account/restore` calls it off."
    )
    version: int = Field(description="Counts changes.", examples=[1])


class ObstacleRead(ApiModel):
    """Something to settle before the account can be deleted."""

    code: str = Field(description="`last_owner` or `open_dispute`; further ones may come.", examples=["last_owner"])
    detail: str = Field(
        description="What it is, and what to do.",
        examples=["You are the last owner of Acme, which others share. Make somebody else owner, or delete it."],
    )
    facts: dict[str, str] = Field(
        description="Which one: ids and names, by code.",
        examples=[{"workspaceId": "0198c0de-0000-7000-8000-000000000000", "workspaceName": "Acme"}],
    )


class AccountRead(ApiModel):
    """Whether your account goes on."""

    deletion: DeletionRead | None = Field(description="The deletion you asked for; null when there is none.")
    obstacles: list[ObstacleRead] = Field(description="What would keep it from being deleted now.")


class AccountAnswer(ApiModel):
    account: AccountRead = Field(description="Your account's state.")
