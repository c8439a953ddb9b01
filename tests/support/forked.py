"""What a forked process of the service does: loaded once, in the process that forks them all, with the routes worked
out, and nothing of it looked through for garbage in each.
"""

import gc
import os
import sys
from collections.abc import Mapping

from pm_api import cli
from pm_api.app import create_app
from tests.support.settings import settings_for

create_app(settings_for("postgresql+asyncpg://nobody@localhost/nothing"), connect=False)
gc.collect()
gc.freeze()


def run(command: str, environment: Mapping[str, str], log: str) -> None:
    """As `pm-api <command>` from a shell that has this environment and no other."""
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["pm-api", command]
    cli.main()
