"""A plugin for a whole run: `pytest -p tests.support.all_in_s3 tests/domains/storage` keeps every platform's files in
moto's S3, those of processes too. A test that means a store of its own says so in its settings, and has it.
"""

import json
import os

import pytest

from tests.support import stores
from tests.support.settings import S3_OF_THE_RUN


def pytest_configure(config: pytest.Config) -> None:
    """The controlling process holds the store; workers find it in the environment."""
    if not hasattr(config, "workerinput"):
        os.environ[S3_OF_THE_RUN] = json.dumps(stores.s3_settings())
