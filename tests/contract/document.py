"""The OpenAPI document as the code tells it: it takes seconds to build, so all that ask about it share this one."""

from typing import Any, Final

from pm_api import cli

DOCUMENT: Final[dict[str, Any]] = cli.document()
