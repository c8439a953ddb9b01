"""Settings: complete examples, and no start with a gap."""

import re
from pathlib import Path

import pytest

from pm_api.core.settings import (
    DEVELOPMENT_ADMIN_KEY,
    DEVELOPMENT_SECRET_KEYS,
    DEVELOPMENT_STRIPE_SECRET_KEY,
    DEVELOPMENT_STRIPE_WEBHOOK_SECRET,
    SettingsError,
    describe,
    load_settings,
)
from tests.support.settings import environment_for

ROOT = Path(__file__).parents[2]
COMPLETE = environment_for("postgresql://nowhere/none") | {
    "PM_ENV": "production",
    "PM_PUBLIC_URL": "https://api.example.com",
    "PM_SITE_URL": "https://example.com",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A production environment with nothing missing, in a folder without a `.env`."""
    monkeypatch.chdir(tmp_path)
    for name, _, _ in describe():
        monkeypatch.delenv(name, raising=False)
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_in_development_the_app_gets_a_key_it_can_start_with(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PM_ENV", "development")
    environment.delenv("PM_STRIPE_SECRET_KEY")
    environment.delenv("PM_STRIPE_API_BASE", raising=False)
    assert load_settings().stripe.publishable_key == "pk_test_sandbox"
    environment.setenv("PM_STRIPE_SECRET_KEY", "sk_test_of_their_own")
    assert not load_settings().stripe.publishable_key


def test_a_complete_production_environment_starts(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    assert settings.is_production
    assert settings.secure_cookies
    assert settings.stripe.expects_livemode is False
    environment.setenv("PM_STRIPE_SECRET_KEY", "sk_live_x")
    assert load_settings().stripe.expects_livemode is True


@pytest.mark.parametrize("env", ["production", "test"])
@pytest.mark.parametrize(
    "name",
    ["PM_DATABASE_URL", "PM_SECRET_KEYS", "PM_STRIPE_SECRET_KEY", "PM_STRIPE_WEBHOOK_SECRET", "PM_PUBLIC_URL"],
)
def test_a_missing_secret_is_named(environment: pytest.MonkeyPatch, name: str, env: str) -> None:
    environment.setenv("PM_ENV", env)
    environment.delenv(name)
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PM_SECRET_KEYS", DEVELOPMENT_SECRET_KEYS),
        ("PM_ADMIN_KEY", DEVELOPMENT_ADMIN_KEY),
        ("PM_STRIPE_SECRET_KEY", DEVELOPMENT_STRIPE_SECRET_KEY),
        ("PM_STRIPE_WEBHOOK_SECRET", DEVELOPMENT_STRIPE_WEBHOOK_SECRET),
    ],
)
def test_a_development_secret_is_refused(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name} still has its development value") as refusal:
        load_settings()
    assert value not in str(refusal.value)


def test_all_gaps_are_named_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("PM_DATABASE_URL")
    environment.delenv("PM_PUBLIC_URL")
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert "PM_DATABASE_URL" in str(refusal.value)
    assert "PM_PUBLIC_URL" in str(refusal.value)


@pytest.mark.parametrize("value", ["no-colon", "k1:not base64!", "k1:c2hvcnQ=", "k-1:" + "QUFB" * 12])
def test_a_bad_secret_key_is_refused(environment: pytest.MonkeyPatch, value: str) -> None:
    environment.setenv("PM_SECRET_KEYS", value)
    with pytest.raises(SettingsError, match="PM_SECRET_KEYS"):
        load_settings()


def test_development_reads_dotenv_and_production_does_not(environment: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PM_LOG_LEVEL=ERROR\n")
    environment.delenv("PM_LOG_LEVEL")
    assert load_settings().log_level == "INFO"
    environment.setenv("PM_ENV", "development")
    assert load_settings().log_level == "ERROR"


def test_the_examples_are_complete() -> None:
    names = [name for name, _, _ in describe()]
    example = re.findall(r"^#?(PM_[A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    table = re.findall(r"^\| `(PM_[A-Z0-9_]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert example == names
    assert table == names


@pytest.mark.parametrize("env", ["production", "test"])
def test_the_development_key_is_refused_under_any_id(environment: pytest.MonkeyPatch, env: str) -> None:
    environment.setenv("PM_ENV", env)
    environment.setenv("PM_SECRET_KEYS", "mine:" + DEVELOPMENT_SECRET_KEYS.partition(":")[2])
    with pytest.raises(SettingsError, match="PM_SECRET_KEYS still has its development value"):
        load_settings()


@pytest.mark.parametrize("env", ["production", "test"])
def test_a_short_admin_key_is_refused(environment: pytest.MonkeyPatch, env: str) -> None:
    environment.setenv("PM_ENV", env)
    environment.setenv("PM_ADMIN_KEY", "x" * 15)
    with pytest.raises(SettingsError, match=r"^PM_ENV=\w+: PM_ADMIN_KEY has fewer than 16 characters$"):
        load_settings()
    environment.setenv("PM_ADMIN_KEY", "x" * 16)
    load_settings()
    environment.delenv("PM_ADMIN_KEY")
    load_settings()


def test_production_needs_the_address_of_its_site(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("PM_SITE_URL")
    with pytest.raises(SettingsError, match="PM_SITE_URL is not set"):
        load_settings()
    environment.setenv("PM_ENV", "test")
    assert load_settings().site_url


@pytest.mark.parametrize("name", ["PM_PUBLIC_URL", "PM_SITE_URL"])
@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("https://example.com", True),
        ("http://localhost:3000", True),
        ("http://127.0.0.1:8000", True),
        ("http://example.com", False),
        ("http://localhost.example.com", False),
        ("example.com", False),
        ("https://", False),
        ("http://[", False),
    ],
)
def test_production_is_reached_over_https(
    environment: pytest.MonkeyPatch, name: str, address: str, good: bool
) -> None:
    environment.setenv(name, address)
    if good:
        load_settings()
        return
    with pytest.raises(SettingsError, match=f"{name} is not https"):
        load_settings()


def test_mail_comes_from_the_site_unless_told_otherwise(environment: pytest.MonkeyPatch) -> None:
    assert load_settings().smtp.sender == "no-reply@example.com"
    assert not load_settings().sends_mail
    environment.setenv("PM_SMTP_URL", "smtps://u:p@mail.example.com")
    environment.setenv("PM_SMTP_SENDER", "hello@acme.example")
    environment.setenv("PM_SMTP_SENDER_NAME", "Acme")
    settings = load_settings()
    assert (settings.smtp.sender, settings.smtp.sender_name, settings.sends_mail) == (
        "hello@acme.example",
        "Acme",
        True,
    )
    assert "p@mail" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PM_SMTP_URL", "https://mail.example.com"),
        ("PM_SMTP_URL", "smtp://secret@h:99999"),
        ("PM_SMTP_SENDER", "Acme <hello@acme.example>"),
        ("PM_SMTP_SENDER", "hello@acme.example\r\nBcc: x@y.z"),
        ("PM_SMTP_REPLY_TO", "nobody"),
    ],
)
def test_a_mail_setting_that_cannot_be_is_named(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as refusal:
        load_settings()
    assert value not in str(refusal.value)


def test_development_mails_the_sandbox(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PM_ENV", "development")
    environment.setenv("PM_PORT", "9000")
    url = load_settings().smtp.url
    assert url is not None
    assert url.get_secret_value() == "smtp://127.0.0.1:9003"
    environment.setenv("PM_SMTP_URL", "smtp://mail.example.com")
    url = load_settings().smtp.url
    assert url is not None
    assert url.get_secret_value() == "smtp://mail.example.com"


PROVIDER = '{"name": "acme", "issuer": "https://id.acme.example", "clientId": "pm", "clientSecret": "s3cret"}'


def test_sign_in_providers_are_a_json_list(environment: pytest.MonkeyPatch) -> None:
    assert load_settings().oidc.providers == ()
    environment.setenv("PM_OIDC_PROVIDERS", f"[{PROVIDER}]")
    [found] = load_settings().oidc.providers
    assert (found.name, found.issuer, found.client_id) == ("acme", "https://id.acme.example", "pm")
    assert found.client_secret.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(load_settings())
    environment.setenv("PM_GOOGLE_CLIENT_ID", "google-client")
    assert load_settings().google.client_id == "google-client"


@pytest.mark.parametrize(
    "value",
    [
        "no json",
        "{}",
        f"[{PROVIDER}, {PROVIDER}]",
        f"[{PROVIDER.replace('acme', 'google', 1)}]",
        f"[{PROVIDER.replace('acme', 'Not A Name', 1)}]",
        f"[{PROVIDER.replace('clientId', 'client', 1)}]",
        f"[{PROVIDER.replace('https://id.acme.example', 'http://id.acme.example')}]",
    ],
)
def test_sign_in_providers_that_cannot_be_are_refused(environment: pytest.MonkeyPatch, value: str) -> None:
    environment.setenv("PM_OIDC_PROVIDERS", value)
    with pytest.raises(SettingsError, match="PM_OIDC_PROVIDERS") as refusal:
        load_settings()
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PM_DATABASE_URL", "mysql://ann:a-secret@host/name"),
        ("PM_DATABASE_URL", "a-secret"),
        ("PM_DATABASE_DIRECT_URL", "postgresql://ann:a-secret@host"),
        ("PM_REDIS_URL", "host:6379/a-secret"),
        ("PM_RATE_LIMIT_ADDRESS", "many"),
        ("PM_RATE_LIMIT_CALLER", "10 a minute"),
        ("PM_RATE_LIMIT_AUTH", "-1/minute"),
        ("PM_LOG_LEVEL", "loud"),
    ],
)
def test_what_no_request_could_use_is_refused_at_the_start(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: is ") as refusal:
        load_settings()
    assert "a-secret" not in str(refusal.value)


def test_what_is_set_to_nothing_is_not_set(environment: pytest.MonkeyPatch) -> None:
    """`PM_REDIS_URL=`: a line of `.env.example` without its comment mark, or `${…:-}` in a compose file."""
    environment.setenv("PM_ENV", "development")
    for name, _, _ in describe():
        environment.delenv(name, raising=False)
    plain = load_settings()
    for name, _, _ in describe():
        environment.setenv(name, "")
    assert load_settings() == plain
