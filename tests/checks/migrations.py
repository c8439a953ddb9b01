"""The migrations and the tables say the same: `python -m tests.checks.migrations`, run by `make lint`."""

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from pm_api import migrate
from pm_api.sandbox.postgres import EmbeddedPostgres


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Address of an empty database on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="pm-migrations-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # the server runs as another user when this runs as root
        postgres = EmbeddedPostgres(Path(folder) / "postgres", settings={"fsync": "off", "full_page_writes": "off"})
        postgres.start()
        try:
            yield postgres.url("postgres")
        finally:
            postgres.stop()


def one_head(url: str) -> None:
    heads = ScriptDirectory.from_config(migrate.alembic_config(url)).get_heads()
    if len(heads) != 1:
        raise AssertionError(f"there are {len(heads)} heads: {', '.join(heads)}")


def tables_match(url: str) -> None:
    """Raises when autogenerate would write another migration."""
    config = migrate.alembic_config(url)
    config.stdout = io.StringIO()
    command.check(config)


FACTS: tuple[tuple[str, Callable[[str], None]], ...] = (
    ("one head", one_head),
    ("up", migrate.upgrade),
    ("the tables are as the models say", tables_match),
    ("down to nothing", lambda url: migrate.downgrade(url, "base")),
    ("up again", migrate.upgrade),
    ("the tables are still as the models say", tables_match),
)


def main() -> int:
    with server() as url:
        for name, check in FACTS:
            try:
                check(url)
            except Exception as error:
                sys.stdout.write(f"migrations: {name}: FAILED: {error}\n")
                return 1
            sys.stdout.write(f"migrations: {name}: ok\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
