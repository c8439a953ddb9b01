"""`pm-api billing setup-stripe`, and what `pm-api doctor` says before and after."""

from collections.abc import AsyncIterator

import httpx
import pytest
from typer.testing import CliRunner

from pm_api import cli
from tests.support.settings import environment_for
from tests.support.stripe import clone, sandbox_stripe


@pytest.fixture
async def environment() -> AsyncIterator[dict[str, str]]:
    """An installation whose Stripe account is empty."""
    async with clone() as database, sandbox_stripe() as stripe:
        yield environment_for(database, PM_STRIPE_API_BASE=stripe.url)


def invoke(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, arguments, env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_an_empty_account_is_set_up_once(environment: dict[str, str]) -> None:
    code, said = invoke(environment, "doctor")
    assert code == 1
    assert "billing: not set up at Stripe: product Individual Pro (plan INDIVIDUAL_PRO)" in " ".join(said.split())
    code, said = invoke(environment, "billing", "setup-stripe", "--dry-run")
    assert code == 0
    assert "missing: price team_standard_yearly at 99990 USD minor units\n" in said
    assert "missing: webhook endpoint http://test.local/api/webhooks/stripe for " in said
    assert "taken over" not in said
    code, said = invoke(environment, "billing", "setup-stripe")
    assert code == 0
    assert "made: price team_standard_yearly at 99990 USD minor units\n" in said
    assert "PM_STRIPE_WEBHOOK_SECRET=whsec_" in said
    assert "taken over: PACK XL: price was not set here and is 2999 now, as at Stripe.\n" in said
    code, said = invoke(environment, "billing", "setup-stripe")
    assert (code, said.startswith("Stripe's account has all that is needed")) == (0, True), said
    code, said = invoke(environment, "doctor")
    assert "billing: 10 prices at Stripe, all as here" in " ".join(said.split())
    assert code == 0, said


def test_what_somebody_else_keeps_at_the_account_is_no_failure(environment: dict[str, str]) -> None:
    code, said = invoke(environment, "billing", "setup-stripe")
    assert code == 0, said
    key = {"Authorization": f"Bearer {environment['PM_STRIPE_SECRET_KEY']}"}
    with httpx.Client(
        base_url=environment["PM_STRIPE_API_BASE"], headers=key, trust_env=False, verify=False
    ) as stripe:
        weird = {"name": "Weird", "metadata[pack]": "WEIRD", "metadata[includedCredits]": "abc"}
        product = stripe.post("/v1/products", data=weird).json()["id"]
        made = stripe.post("/v1/prices", data={"product": product, "currency": "usd", "unit_amount": "100"})
        assert made.status_code == 200, made.text
    code, said = invoke(environment, "doctor")
    told = " ".join(said.split())
    assert "warning: passed over, because it cannot be read and sells nothing of ours: includedCredits" in told
    assert code == 0, said


def test_without_stripe_it_says_so(environment: dict[str, str]) -> None:
    code, said = invoke(environment | {"PM_STRIPE_API_BASE": "http://127.0.0.1:9"}, "billing", "setup-stripe")
    assert code == 1
    assert "Stripe does not answer: " in said
