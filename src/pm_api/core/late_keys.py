"""Idempotency-Key where what was asked is known only at its end: the body streams past, and is kept nowhere it could
be compared.

Nothing is claimed while it streams. Whoever comes to the end first writes key, effect and answer in one transaction,
and whoever comes later finds them. So a process that dies leaves no key behind that nobody answers, and a line that
broke off keeps nobody waiting. Refusals are not kept: they leave nothing behind, and are judged anew.
"""

from dataclasses import dataclass

from fastapi import Request, Response
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.errors import Unavailable
from pm_api.core.idempotency import IdempotencyKeyReused, check_key, route_name, sealed, unseal_answer
from pm_api.core.platform import Platform, get_platform
from pm_api.core.tables import IdempotencyKey

HEADER = "idempotency-key"
TRIES = 3


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was asked under a key before, and the answer as it is given again."""

    fingerprint: bytes
    answer: Response


class LateKey:
    """The key of one request, which knows at its end what was asked under it."""

    def __init__(self, platform: Platform, caller: str, route: str, key: str) -> None:
        self._platform = platform
        self._place: tuple[str, str, str] = (caller, route, check_key(key))

    async def earlier(self) -> Earlier | None:
        """What has come to its end under this key by now."""
        async with self._platform.database.reading() as session:
            row = await session.get(IdempotencyKey, self._place)
        return None if row is None else self._read(row)

    async def claim(self, session: AsyncSession, fingerprint: bytes) -> Response | None:
        """The key is this transaction's, or the answer it was given before; raises IdempotencyKeyReused, and
        Unavailable where it comes and goes all the time. Waits for whoever is at their end at this moment: ask before
        anything of the database is held.
        """
        caller, route, key = self._place
        for _ in range(TRIES):
            claimed = await session.scalar(
                insert(IdempotencyKey)
                .values(
                    caller=caller,
                    route=route,
                    key=key,
                    fingerprint=fingerprint,
                    created_at=self._platform.clock.now(),
                )
                .on_conflict_do_nothing()
                .returning(IdempotencyKey.key)
            )
            if claimed is not None:
                return None
            row = await session.get(IdempotencyKey, self._place)
            if row is not None:
                return agreed(self._read(row), fingerprint)
            # It was forgotten between the two statements: the key is free.
        raise Unavailable

    async def keep(self, session: AsyncSession, answer: Response) -> None:
        """Store the answer beside the effect."""
        row = await session.get_one(IdempotencyKey, self._place)
        row.status_code = answer.status_code
        row.sealed_answer = sealed(self._platform, answer, *self._place)

    async def give_back(self, session: AsyncSession) -> None:
        """There is no answer to keep: the key is free again."""
        caller, route, key = self._place
        await session.execute(
            delete(IdempotencyKey).where(
                IdempotencyKey.caller == caller, IdempotencyKey.route == route, IdempotencyKey.key == key
            )
        )

    def _read(self, row: IdempotencyKey) -> Earlier:
        return Earlier(row.fingerprint, unseal_answer(self._platform, row))


def agreed(earlier: Earlier, fingerprint: bytes) -> Response:
    """The answer for who asks the same again; raises IdempotencyKeyReused."""
    if earlier.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return earlier.answer


def late_key_of(request: Request) -> LateKey | None:
    """This request's key, None without one. Its route's guard has run: the key is its caller's."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    return LateKey(get_platform(request), request.state.caller, route_name(request.scope["route"]), key)
