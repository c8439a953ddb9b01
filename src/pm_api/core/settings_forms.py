"""How settings are written, found out at the start: not by the first request that needs them."""

from collections.abc import Callable
from typing import Annotated, Final
from urllib.parse import urlsplit

from limits import parse
from pydantic import AfterValidator, SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


def _written_as(form: str, is_good: Callable[[str], bool]) -> Callable[[SecretStr | None], SecretStr | None]:
    """What is refused is not shown: it may hold a password."""

    def check(value: SecretStr | None) -> SecretStr | None:
        if value is not None and not is_good(value.get_secret_value()):
            raise ValueError(f"is written as {form}")
        return value

    return check


def _is_of_postgresql(address: str) -> bool:
    try:
        parts = make_url(address)
    except (ArgumentError, ValueError):
        return False
    return parts.drivername.partition("+")[0] in {"postgresql", "postgres"} and bool(parts.database)


def _is_of_redis(address: str) -> bool:
    return urlsplit(address).scheme in {"redis", "rediss"}


def _is_a_rate(value: str) -> str:
    try:
        parse(value)
    except ValueError:
        raise ValueError("is written as 600/minute") from None
    return value


def _is_a_level(value: str) -> str:
    if value.upper() not in LOG_LEVELS:
        raise ValueError(f"is one of {', '.join(LOG_LEVELS)}")
    return value.upper()


PostgresAddress = Annotated[
    SecretStr | None,
    AfterValidator(_written_as("postgresql://user:password@host:5432/name", _is_of_postgresql)),
]
RedisAddress = Annotated[
    SecretStr | None,
    AfterValidator(_written_as("redis://:password@host:6379/0 or rediss://…", _is_of_redis)),
]
Rate = Annotated[str, AfterValidator(_is_a_rate)]
LogLevel = Annotated[str, AfterValidator(_is_a_level)]
