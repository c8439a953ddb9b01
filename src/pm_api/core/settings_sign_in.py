"""Settings of the providers people sign in with."""

import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic.alias_generators import to_camel
from pydantic_settings import NoDecode


class GoogleSettings(BaseModel):
    """`PM_GOOGLE_*`. Without a client id nobody signs in with Google."""

    client_id: str = Field("", description="OAuth client of Google; unset = no sign-in with Google.")
    client_secret: SecretStr = Field(SecretStr(""), description="Secret of that client.")
    issuer: str = Field("https://accounts.google.com", description="Issuer of Google's ID tokens.")


class GithubSettings(BaseModel):
    """`PM_GITHUB_*`. Without a client id nobody signs in with GitHub."""

    client_id: str = Field("", description="OAuth app of GitHub; unset = no sign-in with GitHub.")
    client_secret: SecretStr = Field(SecretStr(""), description="Secret of that app.")
    base: str = Field("https://github.com", description="Where people allow the sign-in.")
    api_base: str = Field("https://api.github.com", description="Base address of the GitHub API.")


class OidcProvider(BaseModel):
    """One entry of `PM_OIDC_PROVIDERS`."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,29}$")
    title: str = Field("", max_length=60)
    issuer: str
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    scope: str = "openid email profile"


class OidcSettings(BaseModel):
    """`PM_OIDC_*`."""

    providers: Annotated[tuple[OidcProvider, ...], NoDecode] = Field(
        (),
        description="OpenID Connect issuers people sign in with, a JSON list of"
        ' {"name", "title", "issuer", "clientId", "clientSecret", "scope"}; title and scope may be left out.',
    )

    @field_validator("providers", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value.strip() else ()
        except ValueError:
            raise ValueError("is a JSON list of objects") from None

    @field_validator("providers")
    @classmethod
    def _each_once(cls, value: tuple[OidcProvider, ...]) -> tuple[OidcProvider, ...]:
        names = [one.name for one in value]
        if len(set(names)) < len(names) or {"google", "github"} & set(names):
            raise ValueError("each provider has a name of its own, which is neither google nor github")
        return value
