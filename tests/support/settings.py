"""Settings of a test process: complete, none of them a development default."""

import atexit
import base64
import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from pm_api.core.settings import Settings

SECRET_KEYS = "test:" + base64.b64encode(b"only for tests, thirty-two bytes or more").decode()
ADMIN_KEY = "test-admin-key-long-enough"
WEBHOOK_SECRET = "whsec_test"
STRIPE_KEY = "sk_test_tests"
S3_OF_THE_RUN = "PM_TEST_S3"
"""Set by the plugin `tests.support.all_in_s3`: `PM_S3_*` of every platform of the run, as JSON."""
# Where nobody listens: a test whose Stripe is not the sandbox talks to none at all.
NO_STRIPE = "http://127.0.0.1:9"


@cache
def data_folder() -> Path:
    """Where this process, and those it starts, keep files; it goes with the process."""
    folder = Path(tempfile.mkdtemp(prefix="pm-test-data-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def s3_of_the_run(database_url: str) -> dict[str, str]:
    """Nothing, unless the whole run keeps its files in S3; then each database has a folder of its own."""
    found: dict[str, str] = json.loads(os.environ.get(S3_OF_THE_RUN, "{}"))
    return {**found, "prefix": database_url.rpartition("/")[2].partition("?")[0]} if found else {}


def environment_for(database_url: str, **overrides: str) -> dict[str, str]:
    """The same as environment variables, for processes of their own."""
    return {
        "PM_ENV": "test",
        "PM_DATABASE_URL": database_url,
        "PM_DATA_DIR": str(data_folder()),
        "PM_SECRET_KEYS": SECRET_KEYS,
        "PM_ADMIN_KEY": ADMIN_KEY,
        "PM_STRIPE_SECRET_KEY": STRIPE_KEY,
        "PM_STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "PM_STRIPE_API_BASE": NO_STRIPE,
        "PM_PUBLIC_URL": "http://test.local",
        "PM_SITE_URL": "http://site.local",
        "PM_RATE_LIMITS": "false",
        "PM_LOG_LEVEL": "WARNING",
        "PM_WORKER_HEARTBEAT_TIMEOUT_S": "2",
        **{f"PM_S3_{name.upper()}": value for name, value in s3_of_the_run(database_url).items()},
        **overrides,
    }


def settings_for(database_url: str, **overrides: Any) -> Settings:
    values: dict[str, Any] = {
        "env": "test",
        "database_url": database_url,
        "data_dir": data_folder(),
        "secret_keys": SECRET_KEYS,
        "admin_key": ADMIN_KEY,
        "stripe": {"secret_key": STRIPE_KEY, "webhook_secret": WEBHOOK_SECRET, "api_base": NO_STRIPE},
        "public_url": "http://test.local",
        "site_url": "http://site.local",
        "rate_limits": False,
        "log_level": "WARNING",
        "worker_heartbeat_timeout_s": 2,
        "s3": s3_of_the_run(database_url),
        **overrides,
    }
    return Settings(**values)
