"""Is it still the person who signed in? Asked before what a thief of an open session would do first."""

from datetime import timedelta
from typing import Final

from pm_api.core.actor import UserScope
from pm_api.core.platform import Platform
from pm_api.core.ratelimit import Policy
from pm_api.identity.errors.credentials import ConfirmationRequired
from pm_api.identity.passwords import Passwords
from pm_api.identity.repository import people as repository

FRESH: Final = timedelta(minutes=10)
GUESSES: Final = Policy("confirmation", "20/hour")


async def confirm(platform: Platform, scope: UserScope, password: str | None) -> None:
    """The right password, or a sign-in within the last ten minutes; raises ConfirmationRequired, and TooManyRequests
    for who tries passwords. Before any transaction: no connection is held while the hash is computed.
    """
    if password is not None:
        await platform.limiter.hit(GUESSES, str(scope.user_id))
    async with platform.database.reading() as session:
        user = await repository.user_by_id(session, scope.user_id)
        session_id = scope.actor.session_id
        sign_in = await repository.session_by_id(session, session_id) if session_id is not None else None
    if password is not None:
        right, _ = await platform.part(Passwords).verify(password, user.password_hash if user else None)
        if not right:
            raise ConfirmationRequired("The password is wrong.")
    elif sign_in is None or platform.clock.wall() - sign_in.created_at > FRESH:
        raise ConfirmationRequired
