"""Shapes of API keys and of the second factor on the wire."""

from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field

from pm_api.core.schema import ApiModel, ApiRequest, Name, Text, Timestamp
from pm_api.entitlements.enums import AccountType
from pm_api.identity.permissions import KeyScope
from pm_api.identity.schemas.people import Password, not_null

KeyName = Annotated[Name, Field(max_length=100)]
Code = Annotated[
    Text,
    Field(
        min_length=6,
        max_length=40,
        description="Six digits of the authenticator app, or a recovery code; blanks and hyphens do not count.",
        examples=["492039"],
    ),
]

# --- second factor ---------------------------------------------------------------------------------------------


class SecondFactorSecret(ApiModel):
    """What the authenticator app has to know. It is shown this once."""

    secret: str = Field(
        description="The secret in base32, for typing it in.", examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"]
    )
    otpauth_uri: str = Field(
        description="The same as an address: SHA-1, six digits, 30 seconds.",
        examples=["otpauth://totp/pm_api:ann%40acme.dev?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=pm_api"],
    )
    qr_svg: str = Field(description="The address as a QR code: an SVG image.", examples=["<svg …>…</svg>"])


class SecondFactorSetupAnswer(ApiModel):
    second_factor: SecondFactorSecret = Field(description="It counts once a code of it was sent to `enable`.")


class SecondFactorSetup(ApiRequest):
    """That it is you: whoever sets it up decides who can sign in."""

    password: Password | None = Field(
        None, description="Your password; not needed within ten minutes of signing in.", examples=["a long phrase"]
    )


class SecondFactorEnable(SecondFactorSetup):
    code: Annotated[
        Text, Field(min_length=6, max_length=40, description="Six digits of the app.", examples=["492039"])
    ]


class SecondFactorProof(ApiRequest):
    """That it is you, by both factors."""

    code: Code
    password: Password | None = Field(
        None, description="Your password; not needed within ten minutes of signing in.", examples=["a long phrase"]
    )


class RecoveryCodesAnswer(ApiModel):
    recovery_codes: list[str] = Field(
        description="Each stands in for a code of the app, once. They are shown this once; keep them safe.",
        examples=[["K4TQ-7M2X-PW6B-JHZA"]],
    )


# --- API keys --------------------------------------------------------------------------------------------------


class ApiKeyCreate(ApiRequest):
    name: KeyName = Field(description="What it is for.", examples=["Nightly export"])
    workspace_id: UUID | None = Field(
        None, description="The one workspace it opens; without it, all that is yours and every workspace you are in."
    )
    scopes: list[KeyScope] = Field(
        min_length=1,
        max_length=len(KeyScope),
        description="What it may do, within what your role allows at that moment. `write` includes `read`.",
        examples=[["workspace:read", "credits:write"]],
    )
    expires_at: Timestamp | None = Field(
        None, description="When it ends by itself, at most ten years ahead; unset: never."
    )


class ApiKeyUpdate(ApiRequest):
    """Only the fields sent are changed."""

    name: Annotated[KeyName | None, BeforeValidator(not_null)] = Field(None, description="What it is for.")
    expires_at: Timestamp | None = Field(None, description="When it ends by itself; null: never.")


class ApiKeyMaker(ApiModel):
    """Who made a key: with it one can do what they may."""

    id: UUID = Field(description="The person's id.")
    name: str = Field(description="The person's name.", examples=["Ann Archer"])


class ApiKeyRead(ApiModel):
    """A key for programs, without what opens anything."""

    id: UUID = Field(description="The key's id; what is done with it is recorded under this.")
    name: str = Field(description="What it is for.", examples=["Nightly export"])
    account_type: AccountType = Field(description="USER: all that is its maker's. WORKSPACE: that workspace alone.")
    workspace_id: UUID | None = Field(description="The one workspace it opens; null for a key of its maker's own.")
    made_by: ApiKeyMaker = Field(description="With it one can do what this person's role allows, and no more.")
    hint: str = Field(description="How the key begins, to tell it from others.", examples=["pm_live_4fQz…"])
    scopes: list[KeyScope] = Field(description="What it may do.", examples=[["workspace:read"]])
    expires_at: Timestamp | None = Field(description="When it ends by itself; null: never.")
    last_used_at: Timestamp | None = Field(description="When it was last used, to the minute; null: never.")
    revoked_at: Timestamp | None = Field(description="When it was ended; null while it was not.")
    created_at: Timestamp = Field(description="When it was made.")
    updated_at: Timestamp = Field(description="When it last changed.")
    version: int = Field(description="Counts changes; being used is none.", examples=[1])


class ApiKeyAnswer(ApiModel):
    api_key: ApiKeyRead = Field(description="The key as it is now.")


class ApiKeyCreated(ApiModel):
    api_key: ApiKeyRead = Field(description="The key as it is now.")
    token: str = Field(
        description="What to send as `Authorization: Bearer`. It is shown this once.",
        examples=["pm_live_4fQzT1vN8sWbX5cKj2Lr7YpHd0MgEa3gT1vN"],
    )


class ApiKeysAnswer(ApiModel):
    api_keys: list[ApiKeyRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
