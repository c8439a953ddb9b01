"""Settings: environment variables with the prefix `PM_`, read once at the entry points and handed on.

Outside development nothing secret has a usable default: the service refuses to start and names every gap at once.
"""

import base64
import binascii
import os
import re
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pm_api.core.settings_forms import LogLevel, PostgresAddress, Rate, RedisAddress
from pm_api.core.settings_scanner import ClamdSettings
from pm_api.core.settings_sign_in import GithubSettings, GoogleSettings, OidcSettings
from pm_api.core.settings_storage import S3Settings, StorageSettings

MINIMUM_SECRET_BYTES = 32
MINIMUM_ADMIN_KEY_LENGTH = 16
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1"})
LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")
MAIL_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")

DEVELOPMENT_SECRET_KEYS = "dev:" + base64.b64encode(b"pm-api development key, not a secret").decode()
DEVELOPMENT_ADMIN_KEY = "dev-admin-key"
DEVELOPMENT_STRIPE_SECRET_KEY = "sk_test_sandbox"  # noqa: S105  fixed and printed by the banner
DEVELOPMENT_STRIPE_PUBLISHABLE_KEY = "pk_test_sandbox"
DEVELOPMENT_STRIPE_WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105  fixed and printed by the banner
DEVELOPMENT_DEFAULTS = frozenset(
    {
        DEVELOPMENT_SECRET_KEYS.partition(":")[2],
        DEVELOPMENT_ADMIN_KEY,
        DEVELOPMENT_STRIPE_SECRET_KEY,
        DEVELOPMENT_STRIPE_WEBHOOK_SECRET,
    }
)


class Environment(StrEnum):
    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class SettingsError(Exception):
    """The service may not start with these settings; the text names every variable to mend."""


class StripeSettings(BaseModel):
    """`PM_STRIPE_*`. An empty webhook secret keeps the webhook route closed."""

    secret_key: SecretStr = Field(SecretStr(""), description="API key of the Stripe account.")
    webhook_secret: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Signing secrets of the webhook endpoint, comma separated (several while rolling)."
    )
    publishable_key: str = Field("", description="Given to the single-page app by `GET /api/config`.")
    api_base: str = Field(
        "", description="Base address of the Stripe API; unset = Stripe's own, in development the sandbox's."
    )
    livemode: bool | None = Field(
        None, description="Which events are accepted; unset = derived from the secret key's prefix."
    )
    timeout_s: float = Field(10.0, gt=0, le=80, description="Time limit of one call to Stripe.")

    @field_validator("webhook_secret", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def expects_livemode(self) -> bool:
        if self.livemode is not None:
            return self.livemode
        return self.secret_key.get_secret_value().startswith(("sk_live_", "rk_live_"))


class SmtpSettings(BaseModel):
    """`PM_SMTP_*`. Without a URL nobody gets mail: people are told inside the app alone."""

    url: SecretStr | None = Field(
        None,
        description="smtp://user:password@host:587 or smtps://host:465; unset = no mail, in development the sandbox.",
    )
    sender: str = Field("", description="Address mails come from; unset = no-reply@ the host of PM_SITE_URL.")
    sender_name: str = Field("pm_api", min_length=1, max_length=60, description="Name mails come from.")
    reply_to: str = Field("", description="Address answers go to; unset = the sender's.")
    starttls: bool | None = Field(
        None,
        description="Whether smtp:// must be encrypted; unset = it must, unless the server is on this machine.",
    )
    timeout_s: float = Field(20.0, gt=0, le=120, description="Time limit of sending one mail.")
    daily_limit: int = Field(
        50, ge=1, le=1000, description="Mails one person gets within 24 hours; security and payments come on top."
    )

    @field_validator("url")
    @classmethod
    def _is_smtp(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        try:
            parts = urlsplit(value.get_secret_value())
            known = parts.scheme in {"smtp", "smtps"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if not known:
            raise ValueError("is written as smtp://user:password@host:port or smtps://…")
        return value

    @field_validator("sender", "reply_to")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not MAIL_ADDRESS.fullmatch(value):
            raise ValueError("is an address alone, such as no-reply@example.com")
        return value


class BillingSettings(BaseModel):
    """`PM_BILLING_*`."""

    portal_return_url: str = Field(
        "", description="Where Stripe's portal leads back to; unset = the dashboard of PM_SITE_URL."
    )


class WebhookSettings(BaseModel):
    """`PM_WEBHOOKS_*`: what we send to addresses that customers name."""

    allow_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Networks beside the public internet that webhooks may be sent to, over http too, comma separated"
        " (10.1.0.0/16); unset = none, in development this machine.",
    )
    timeout_s: float = Field(10.0, gt=0, le=30, description="Time limit of sending one webhook.")

    @field_validator("allow_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("allow_networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                ip_network(one)
            except ValueError:
                raise ValueError(f"{one!r} is no network, which is written as 10.1.0.0/16 or fd00:1::/32") from None
        return value


class SecretKey(BaseModel, frozen=True):
    """One entry of `PM_SECRET_KEYS`: an id that is stored beside what was sealed, and the key's bytes."""

    id: str
    value: SecretStr

    def raw(self) -> bytes:
        return base64.b64decode(self.value.get_secret_value(), validate=True)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="PM_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,  # `PM_REDIS_URL=` is how many write that it is not set
        extra="ignore",
    )

    env: Environment = Field(Environment.DEVELOPMENT, description="development, test or production.")
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the API listens on.")
    sandbox_port: int | None = Field(
        None, ge=0, le=65535, description="Port of the sandbox providers; unset = PM_PORT + 1."
    )
    mailbox_port: int | None = Field(
        None, ge=0, le=65535, description="Port of the sandbox mailbox's page; unset = PM_PORT + 2."
    )
    mailbox_smtp_port: int | None = Field(
        None, ge=0, le=65535, description="Port where the sandbox mailbox takes mail; unset = PM_PORT + 3."
    )
    data_dir: Path = Field(Path(".data"), description="Embedded database, local files, sandbox state.")

    database_url: PostgresAddress = Field(
        None, description="postgresql://…; unset = the embedded server (not in production)."
    )
    database_direct_url: PostgresAddress = Field(
        None, description="For migrations and LISTEN when the main URL goes through a pooler."
    )
    database_pool_size: int = Field(10, ge=1, le=500, description="Connections kept by each process.")
    database_pool_overflow: int = Field(10, ge=0, le=500, description="Further connections under load.")

    redis_url: RedisAddress = Field(None, description="Shared rate-limit counters; unset = counters of one process.")
    secret_keys: Annotated[tuple[SecretKey, ...], NoDecode] = Field(
        (),
        validate_default=True,
        description="id:base64 pairs, comma separated; the first signs and seals, the others still open.",
    )
    admin_key: SecretStr | None = Field(None, description="Value of `x-admin-key`; unset = that door is closed.")

    public_url: str = Field("", description="Where clients reach this API.")
    site_url: str = Field("http://localhost:3000", description="The single-page app, for links.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins allowed to call from a browser, comma separated; unset = PM_SITE_URL."
    )
    return_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins that payment and sign-in pages may lead back to, comma separated;"
        " unset = those of PM_SITE_URL and PM_CORS_ORIGINS.",
    )
    cookie_secure: bool | None = Field(None, description="Secure flag of cookies; unset = on in production.")
    trusted_proxies: str = Field(
        "127.0.0.1", description="Addresses whose X-Forwarded-For is believed, comma separated."
    )
    rate_limits: bool = Field(True, description="Switch for all rate limits.")
    rate_limit_address: Rate = Field("6000/minute", description="Requests of one network address.")
    rate_limit_caller: Rate = Field("3000/minute", description="Requests of one signed-in caller.")
    rate_limit_auth: Rate = Field("30/minute", description="Sign-in attempts, wherever a secret can be guessed.")
    leads_per_address: int = Field(5, ge=0, description="Leads a day from one network address (an IPv6 /64).")
    leads_per_day: int = Field(1000, ge=0, description="Leads a day in all.")
    max_body_bytes: int = Field(1_048_576, ge=1024, description="Largest request body, in bytes.")

    worker_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port where a worker answers /healthz, /readyz and /metrics; unset = it answers nobody.",
    )
    worker_batch_size: int = Field(10, ge=1, le=500, description="Jobs a worker takes at a time.")
    worker_heartbeat_timeout_s: float = Field(
        30.0, ge=1.0, description="A job whose worker has been silent for so long is taken by another."
    )
    streams_per_process: int = Field(5000, ge=1, description="Event streams one process keeps open; beyond it 503.")
    streams_per_user: int = Field(20, ge=1, description="Event streams one person may have open on one process.")
    ledger_queue_size: int = Field(10_000, ge=1, description="Spends that may wait; beyond it 503.")
    ledger_batch_size: int = Field(500, ge=1, le=2000, description="Commands of one ledger transaction.")
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    stripe: StripeSettings = StripeSettings()
    smtp: SmtpSettings = SmtpSettings()
    billing: BillingSettings = BillingSettings()
    webhooks: WebhookSettings = WebhookSettings()
    clamd: ClamdSettings = ClamdSettings()
    google: GoogleSettings = GoogleSettings()
    github: GithubSettings = GithubSettings()
    oidc: OidcSettings = OidcSettings()
    storage: StorageSettings = StorageSettings()
    s3: S3Settings = S3Settings()

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _parse_secret_keys(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        keys = []
        for part in filter(None, (part.strip() for part in value.split(","))):
            identifier, separator, encoded = part.partition(":")
            if not separator or not identifier.isalnum():
                raise ValueError("each key is written as id:base64, the id in letters and digits")
            try:
                raw = base64.b64decode(encoded, validate=True)
            except binascii.Error as error:
                raise ValueError(f"the key {identifier!r} is not base64") from error
            if len(raw) < MINIMUM_SECRET_BYTES:
                raise ValueError(f"the key {identifier!r} has fewer than {MINIMUM_SECRET_BYTES} bytes")
            keys.append(SecretKey(id=identifier, value=SecretStr(encoded)))
        return tuple(keys)

    @field_validator("cors_origins", "return_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _fill_or_refuse(self) -> Self:
        if self.env is Environment.DEVELOPMENT:
            self._fill_development_defaults()
        else:
            self._refuse_gaps()
        if not self.public_url:
            self.public_url = f"http://{self.host}:{self.port}"
        if not self.cors_origins:
            self.cors_origins = (self.site_url.rstrip("/"),)
        if not self.return_origins:
            self.return_origins = (self.site_url, *self.cors_origins)
        if not self.billing.portal_return_url:
            self.billing = BillingSettings(portal_return_url=f"{self.site_url.rstrip('/')}/dashboard")
        if not self.smtp.sender:
            self.smtp = self.smtp.model_copy(update={"sender": f"no-reply@{_host_of(self.site_url) or 'localhost'}"})
        return self

    def _fill_development_defaults(self) -> None:
        if not self.secret_keys:
            identifier, _, encoded = DEVELOPMENT_SECRET_KEYS.partition(":")
            self.secret_keys = (SecretKey(id=identifier, value=SecretStr(encoded)),)
        if self.admin_key is None:
            self.admin_key = SecretStr(DEVELOPMENT_ADMIN_KEY)
        if not self.stripe.secret_key.get_secret_value():
            self.stripe.secret_key = SecretStr(DEVELOPMENT_STRIPE_SECRET_KEY)
        uses_sandbox = self.stripe.secret_key.get_secret_value() == DEVELOPMENT_STRIPE_SECRET_KEY
        if uses_sandbox and not self.stripe.api_base:
            self.stripe.api_base = f"http://{self.host}:{self.effective_sandbox_port}"
        if uses_sandbox and not self.stripe.publishable_key:
            self.stripe.publishable_key = DEVELOPMENT_STRIPE_PUBLISHABLE_KEY
        if not self.stripe.webhook_secret:
            self.stripe.webhook_secret = (SecretStr(DEVELOPMENT_STRIPE_WEBHOOK_SECRET),)
        if self.smtp.url is None:
            url = SecretStr(f"smtp://{self.host}:{self.effective_mailbox_smtp_port}")
            self.smtp = self.smtp.model_copy(update={"url": url, "starttls": False})
        if not self.webhooks.allow_networks:
            self.webhooks = self.webhooks.model_copy(update={"allow_networks": LOOPBACK_NETWORKS})

    def _refuse_gaps(self) -> None:
        missing = [
            name
            for name, present in (
                ("PM_DATABASE_URL", self.database_url is not None),
                ("PM_SECRET_KEYS", bool(self.secret_keys)),
                ("PM_STRIPE_SECRET_KEY", bool(self.stripe.secret_key.get_secret_value())),
                ("PM_STRIPE_WEBHOOK_SECRET", bool(self.stripe.webhook_secret)),
                ("PM_PUBLIC_URL", bool(self.public_url)),
                ("PM_SITE_URL", "site_url" in self.model_fields_set or not self.is_production),
            )
            if not present
        ]
        default = [
            name
            for name, values in (
                # By its bytes: an id of one's own makes it no secret.
                ("PM_SECRET_KEYS", [base64.b64encode(key.raw()).decode() for key in self.secret_keys]),
                ("PM_ADMIN_KEY", [self.admin_key.get_secret_value()] if self.admin_key else []),
                ("PM_STRIPE_SECRET_KEY", [self.stripe.secret_key.get_secret_value()]),
                ("PM_STRIPE_WEBHOOK_SECRET", [one.get_secret_value() for one in self.stripe.webhook_secret]),
            )
            if DEVELOPMENT_DEFAULTS.intersection(values)
        ]
        complaints = [f"{name} is not set" for name in missing]
        complaints += [f"{name} still has its development value" for name in default]
        admin_key = self.admin_key.get_secret_value() if self.admin_key else None
        if admin_key is not None and "PM_ADMIN_KEY" not in default and len(admin_key) < MINIMUM_ADMIN_KEY_LENGTH:
            complaints.append(f"PM_ADMIN_KEY has fewer than {MINIMUM_ADMIN_KEY_LENGTH} characters")
        if self.is_production:
            complaints += [
                f"{name} is not https"
                for name, address in (
                    ("PM_PUBLIC_URL", self.public_url),
                    ("PM_SITE_URL", self.site_url),
                    ("PM_GOOGLE_ISSUER", self.google.issuer),
                    ("PM_GITHUB_BASE", self.github.base),
                    ("PM_GITHUB_API_BASE", self.github.api_base),
                    *((f"the issuer of {one.name} in PM_OIDC_PROVIDERS", one.issuer) for one in self.oidc.providers),
                )
                if name not in missing and not _is_safe(address)
            ]
        if complaints:
            raise ValueError(f"PM_ENV={self.env}: " + "; ".join(complaints))

    @property
    def is_production(self) -> bool:
        return self.env is Environment.PRODUCTION

    @property
    def secure_cookies(self) -> bool:
        return self.is_production if self.cookie_secure is None else self.cookie_secure

    @property
    def effective_sandbox_port(self) -> int:
        return self.port + 1 if self.sandbox_port is None else self.sandbox_port

    @property
    def effective_mailbox_port(self) -> int:
        return self.port + 2 if self.mailbox_port is None else self.mailbox_port

    @property
    def effective_mailbox_smtp_port(self) -> int:
        return self.port + 3 if self.mailbox_smtp_port is None else self.mailbox_smtp_port

    @property
    def sends_mail(self) -> bool:
        return self.smtp.url is not None


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _is_safe(address: str) -> bool:
    """https, or no network in between."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if parts.scheme == "http":
        return parts.hostname in LOCAL_HOSTS
    return parts.scheme == "https" and bool(parts.hostname)


def load_settings() -> Settings:
    """Read the environment (and `.env` in development); raises SettingsError with every gap in one text."""
    development = os.environ.get("PM_ENV", Environment.DEVELOPMENT) == Environment.DEVELOPMENT
    try:
        return Settings(_env_file=".env" if development else None)
    except ValidationError as error:
        lines = [
            ": ".join(
                filter(
                    None,
                    (
                        "PM_" + "_".join(map(str, one["loc"])).upper() if one["loc"] else "",
                        one["msg"].removeprefix("Value error, "),
                    ),
                )
            )
            for one in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("\n".join(lines)) from None


def describe(settings: type[BaseModel] = Settings, prefix: str = "PM_") -> list[tuple[str, str, str]]:
    """(variable, default, description) of every setting: the README's table and `.env.example` come from here."""
    rows: list[tuple[str, str, str]] = []
    for name, field in settings.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            rows += describe(annotation, f"{prefix}{name.upper()}_")
            continue
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = "" if default in (None, (), "") or isinstance(default, SecretStr) else str(default)
        rows.append((f"{prefix}{name.upper()}", shown, field.description or ""))
    return rows
