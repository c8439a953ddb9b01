"""The database: one engine a process, one transaction a request, and the base of all tables.

COMMIT happens before the answer leaves (the session dependency has function scope), and only here.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, Protocol
from uuid import UUID

import asyncpg
import orjson
from fastapi import Depends, Request
from sqlalchemy import BigInteger, DateTime, MetaData, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BEFORE_COMMIT: Final = "before_commit"
IDEMPOTENT_CALL: Final = "idempotent_call"
PERSONAL: Final = "personal"
PERSONAL_OF: Final = "personal_of"
PERSONAL_BECOMES: Final = "personal_becomes"
PERSONAL_ENDS: Final = ("deleted", "erased", "struck", "kept")

PLACE: Final = frozenset({"host", "port"})
"""What SQLAlchemy reads of an address' query: where a socket is."""
EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})

PREPARED_STATEMENTS: Final = 500
"""Kept by each connection. The service has more of them than the hundred a driver keeps by default, and what is not
kept is sent and planned again each time.
"""

UNREACHABLE_ERRORS: Final = (
    OperationalError,
    PoolTimeout,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)

BeforeCommit = Callable[[AsyncSession], Awaitable[None]]


class SessionOwner(Protocol):
    """Whoever commits the request's session when it is not the session dependency itself."""

    async def begin(self, database: "Database") -> AsyncSession: ...


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy's own declaration form
        datetime: DateTime(timezone=True),
        int: BigInteger,
        UUID: Uuid(as_uuid=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


class Versioned:
    """A row whose changes are counted; the count is the ETag."""

    version: Mapped[int] = mapped_column(default=1, server_default="1")


class Timestamped:
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


def personal(how: str, *, of: str = "user_id", becomes: str | None = None) -> dict[str, Any]:
    """`info` of a column that holds people's data, and what becomes of it when its person goes. `how` begins with

    `deleted`: the whole row goes; `erased`: the value does (null, empty, or what it `becomes`), the row stays;
    `struck`: others' text that may name them, of which name and address are taken; `kept: <why>`.

    `of` is the column that tells whose row it is; a workspace's or account's counts when that goes with its person.
    Where a slice does the erasing itself, `how` says so after a colon.
    """
    if how.partition(":")[0] not in PERSONAL_ENDS:
        raise ValueError(f"personal data is one of {', '.join(PERSONAL_ENDS)}, not {how!r}")
    return {PERSONAL: how, PERSONAL_OF: of, PERSONAL_BECOMES: becomes}


def as_json(value: Any) -> str:
    """JSON with the UUIDs of the driver too."""
    return orjson.dumps(value, default=_driver_uuid).decode()


def _driver_uuid(value: Any) -> str:
    """The driver has a UUID type of its own, which the serializer takes for a stranger."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def driver_url(url: str) -> URL:
    """An address in whatever spelling an installation gives it (`postgresql://`, `postgres://`), for our driver."""
    return make_url(url).set(drivername="postgresql+asyncpg")


def engine_over(url: URL, *, connect_args: Mapping[str, Any] = EMPTY, **options: Any) -> AsyncEngine:
    """An engine at an address. What its query says in libpq's words (`sslmode=verify-full&sslrootcert=…`) the driver
    reads of an address alone; SQLAlchemy would hand it on word by word, and the driver knows no such arguments.
    """
    words = {name: value for name, value in url.query.items() if name not in PLACE}
    dsn = {"dsn": URL.create("postgresql", query=words).render_as_string()} if words else {}
    place = url.difference_update_query(words)
    return create_async_engine(place, connect_args={**connect_args, **dsn}, **options)


class Database:
    """Owns the engine. `transaction()` commits on return and rolls back on any exception."""

    def __init__(
        self, url: str, *, direct_url: str | None = None, pool_size: int = 10, pool_overflow: int = 10
    ) -> None:
        self.url = driver_url(url)
        self.direct_url = driver_url(direct_url) if direct_url else self.url
        self.engine = engine_over(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_overflow,
            pool_timeout=10,
            pool_pre_ping=False,
            hide_parameters=True,  # an error's text goes into the log, and a statement's values are people's data
            json_serializer=as_json,
            json_deserializer=orjson.loads,
            connect_args={
                "prepared_statement_cache_size": PREPARED_STATEMENTS,
                "server_settings": {"application_name": "pm_api", "timezone": "UTC"},
            },
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False, autoflush=True)

    def session(self) -> AsyncSession:
        """A bare session; whoever takes it closes it. Prefer `transaction()`."""
        return self._sessions()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with self._sessions() as session:
            try:
                yield session
                await self.commit(session)
            except BaseException:
                await session.rollback()
                raise

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A short session that never writes: guards, streams. What was read stays readable after it."""
        # Closing rolls back; a rollback of our own would also expire every row that was read.
        async with self._sessions() as session:
            yield session

    @staticmethod
    async def commit(session: AsyncSession) -> None:
        """Flush, run what was registered for the last moment, commit."""
        await Database.run_before_commit(session)
        await session.commit()

    @staticmethod
    async def run_before_commit(session: AsyncSession) -> None:
        """Flush and run what was registered for the last moment, once each; one may refuse by raising."""
        await session.flush()
        callbacks: dict[str, BeforeCommit] = session.info.get(BEFORE_COMMIT, {})
        while callbacks:  # one may register another, which must not be lost
            await callbacks.pop(min(callbacks))(session)
        await session.flush()

    async def dedicated_connection(
        self, *, lock_timeout_s: float | None = None, command_timeout_s: float | None = None
    ) -> asyncpg.Connection:
        """A connection outside the pool, for LISTEN, the worker and the ledger's writer."""
        settings = {"application_name": "pm_api", "timezone": "UTC"}
        if lock_timeout_s is not None:
            settings["lock_timeout"] = f"{lock_timeout_s}s"
        return await asyncpg.connect(
            self.direct_url.set(drivername="postgresql").render_as_string(hide_password=False),
            server_settings=settings,
            command_timeout=command_timeout_s,
        )

    async def ping(self) -> None:
        async with self.reading() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self.engine.dispose()


def database_unreachable(error: BaseException | None) -> bool:
    """Whether the way to the database failed (lost, refused, or no connection free), not the statement."""
    if isinstance(error, UNREACHABLE_ERRORS):
        return True
    if isinstance(error, OSError):
        return error.filename is None  # a socket's; a file's error carries the file's name
    if isinstance(error, DBAPIError):
        # asyncpg's own error is the cause of the one that SQLAlchemy's adapter made of it.
        return error.connection_invalidated or database_unreachable(error.orig and error.orig.__cause__)
    return False


def before_commit(session: AsyncSession, name: str, callback: BeforeCommit) -> None:
    """Run `callback` once as (nearly) the last thing before this session commits; names sort the order."""
    session.info.setdefault(BEFORE_COMMIT, {})[name] = callback


async def request_session(request: Request) -> AsyncIterator[AsyncSession]:
    """The request's session. Under an Idempotency-Key the route class owns the commit, because it must store
    the answer in the same transaction; otherwise leaving this function commits.
    """
    database: Database = request.app.state.platform.database
    owner: SessionOwner | None = getattr(request.state, IDEMPOTENT_CALL, None)
    if owner is not None:
        yield await owner.begin(database)
        return
    async with database.transaction() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(request_session, scope="function")]
