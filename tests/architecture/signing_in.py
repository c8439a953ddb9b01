"""Links that were mailed, visits at GitHub and second factors under way, for scenes."""

from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import text

from pm_api.core.platform import Platform
from pm_api.domains.account import service as account
from pm_api.domains.account.schemas.registration import Registration
from pm_api.identity import email_tokens, external
from pm_api.identity.devices import Device
from pm_api.identity.email_tokens import Purpose
from pm_api.identity.external import Began
from pm_api.identity.repository import people as repository
from pm_api.identity.repository import sign_in as sign_ins
from pm_api.integrations.openid import Identified
from tests.architecture import credentials
from tests.conftest import PASSWORD
from tests.support.providers import Github

DEVICE: Final = Device("tests", "127.0.0.1")
HOME: Final = "http://site.local/dashboard"


async def newcomer(platform: Platform) -> UUID:
    wanted = Registration(email=f"{uuid4().hex}@example.com", password=PASSWORD, name="Nora New")
    return (await account.register(platform, wanted, DEVICE)).user.id


async def link(platform: Platform, purpose: Purpose) -> str:
    """The token of a link to somebody new."""
    user_id = await newcomer(platform)
    async with platform.database.transaction() as session:
        user = await repository.user_by_id(session, user_id)
        assert user is not None
        await email_tokens.send(session, platform, user, purpose)
    async with platform.database.reading() as session:
        found: UUID | None = await session.scalar(
            text("SELECT id FROM email_tokens WHERE user_id = :id AND purpose = :purpose ORDER BY id DESC LIMIT 1"),
            {"id": user_id, "purpose": purpose},
        )
    assert found is not None
    return email_tokens.tokens_of(platform.keys, UUID(str(found)))[0]


async def without_links(platform: Platform, user_id: UUID) -> None:
    """Five within an hour are enough, and a proved address needs none."""
    async with platform.database.transaction() as session:
        await session.execute(text("DELETE FROM email_tokens WHERE user_id = :id"), {"id": user_id})
        await session.execute(text("UPDATE users SET email_verified_at = NULL WHERE id = :id"), {"id": user_id})


async def return_from_github(platform: Platform) -> tuple[dict[str, str], str]:
    """(query, cookie) of somebody new who comes back."""
    hub = platform.part(Github)
    hub.becomes()
    challenge, browser_token = external.new_challenge(platform), platform.randomness.token()
    async with platform.database.transaction() as session:
        external.begin(session, platform, "github", Began(challenge, HOME), browser_token)
    code = uuid4().hex
    hub.challenges[code] = challenge.code_challenge
    return {"state": challenge.state, "code": code}, f"pm_oauth={browser_token}"


async def waiting_for_code(platform: Platform) -> tuple[str, str]:
    """(code, cookie) of somebody who was at GitHub and has a second factor."""
    user_id = await newcomer(platform)
    await linked(platform, user_id)
    code = await credentials.enabled(platform, user_id)
    async with platform.database.transaction() as session:
        [identity] = await sign_ins.external_identities(session, user_id)
        who = Identified("github", identity.subject, identity.email, email_is_verified=True, name="")
        secret = external.await_second_factor(session, platform, user_id, who, platform.randomness.token())
    return code, f"pm_second_factor={secret}"


async def linked(platform: Platform, user_id: UUID) -> None:
    """Signs in with GitHub too, from now on."""
    now = platform.clock.wall()
    async with platform.database.transaction() as session:
        await sign_ins.insert_identity(
            session,
            {
                "id": platform.randomness.uuid(),
                "user_id": user_id,
                "provider": "github",
                "subject": uuid4().hex,
                "email": None,
                "created_at": now,
                "last_used_at": now,
            },
        )
