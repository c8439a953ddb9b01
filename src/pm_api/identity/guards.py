"""The gate of every route: who calls, and may they? Exactly one guard a route, or a place in PUBLIC.

A guard reads on a short connection of its own and hands back a frozen scope, so nothing is held while the route
waits. 401 without a good token; 404 for what the caller may not know of; 403 for what their role does not allow.

An API key is its maker with less: within its scopes, and in its workspace alone if it is bound to one. Routes that no
scope stands for are closed to keys: whoever adds a route decides whether to open it.
"""

import hmac
import time
from collections import OrderedDict
from typing import Any, Final
from uuid import UUID

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from pm_api.core import acting
from pm_api.core.actor import (
    AccountScope,
    Actor,
    ActorKind,
    AdminScope,
    CreditScope,
    LeadScope,
    UserScope,
    WorkspaceScope,
)
from pm_api.core.crypto import digest_token
from pm_api.core.errors import Forbidden, MalformedBody, NotFound, Unauthorized, ValidationFailed
from pm_api.core.platform import Platform, get_platform
from pm_api.core.ratelimit import Policy, client_address
from pm_api.identity import api_key_tokens
from pm_api.identity.api_key_access import actor_with, own_scope, require_scope
from pm_api.identity.errors.credentials import ApiKeyNotAllowed
from pm_api.identity.errors.people import RegistrationRequired, WorkspaceNotFound, role_lacks
from pm_api.identity.key_uses import KeyUses
from pm_api.identity.permissions import KeyScope, allows, scope_of_permission
from pm_api.identity.repository import credentials
from pm_api.identity.repository import people as repository
from pm_api.identity.tokens import AccessTokens, InvalidAccessToken

CACHE_S: Final = 5.0
CACHE_ENTRIES: Final = 10_000


class SessionCache:
    """Tokens already checked, for at most 5 s; an ended session or key is dropped at once by its signal."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[Actor, float]] = OrderedDict()
        self._ended: OrderedDict[str, float] = OrderedDict()

    def get(self, token: str) -> Actor | None:
        found = self._entries.get(token)
        if found is None or found[1] < time.monotonic():
            return None
        return found[0]

    def put(self, token: str, actor: Actor, lifetime_s: float) -> None:
        # A check that was under way while the session ended has seen it alive.
        if self._ended.get(str(actor.credential_id), 0.0) > time.monotonic():
            return
        self._entries[token] = (actor, time.monotonic() + min(CACHE_S, lifetime_s))
        self._entries.move_to_end(token)
        while len(self._entries) > CACHE_ENTRIES:
            self._entries.popitem(last=False)

    def drop_session(self, credential_id: str) -> None:
        """Forget a session or key that has ended (or is about to), and take in no token of it for some seconds."""
        now = time.monotonic()
        self._ended.pop(credential_id, None)
        self._ended[credential_id] = now + CACHE_S
        while next(iter(self._ended.values())) < now:
            self._ended.popitem(last=False)
        for token in [key for key, (one, _) in self._entries.items() if str(one.credential_id) == credential_id]:
            del self._entries[token]

    def clear(self) -> None:
        self._entries.clear()


async def actor_of_token(platform: Platform, token: str) -> Actor:
    """Raises Unauthorized."""
    cache = platform.part(SessionCache)
    actor = cache.get(token)
    if actor is not None:
        return actor
    if api_key_tokens.looks_like_a_key(token):
        return await _actor_of_key(platform, token)
    try:
        claims = platform.part(AccessTokens).verify(token)
    except InvalidAccessToken:
        raise Unauthorized("The access token is invalid or has expired.") from None
    async with platform.database.reading() as session:
        found = await repository.live_session_user(session, claims.session_id, platform.clock.wall())
    if found is None or found[0] != claims.user_id:
        raise Unauthorized("This session has ended.")
    actor = Actor(ActorKind.USER, claims.user_id, claims.session_id, is_admin=found[1])
    cache.put(token, actor, claims.expires_at - platform.clock.wall().timestamp())
    return actor


async def _actor_of_key(platform: Platform, token: str) -> Actor:
    """Whoever made the key, as far as the key goes; raises Unauthorized, for a mistyped one without asking."""
    if not api_key_tokens.is_well_formed(token):
        raise Unauthorized("This API key is not complete: it was cut off or mistyped.")
    wall = platform.clock.wall()
    async with platform.database.reading() as session:
        row = await credentials.live_key_of_token(session, digest_token(token), wall)
    if row is None:
        raise Unauthorized("This API key is unknown, has expired or was revoked.")
    actor = actor_with(row)
    left_s = (row.expires_at - wall).total_seconds() if row.expires_at is not None else CACHE_S
    platform.part(SessionCache).put(token, actor, left_s)
    platform.part(KeyUses).note(row.id, row.last_used_at)
    return actor


async def lead_of_token(platform: Platform, token: str) -> Actor | None:
    """The visitor a lead token was given to, or None for any other kind of token; raises Unauthorized once they have
    registered or their time is over. Asked each time: a token that was handed over must not live on in a cache.
    """
    try:
        lead_id = platform.part(AccessTokens).verify_lead(token)
    except InvalidAccessToken:
        return None
    async with platform.database.reading() as session:
        if not await repository.is_live_lead(session, lead_id, platform.clock.now()):
            raise Unauthorized("This lead token was used for a registration, or has expired.")
    return Actor(ActorKind.LEAD, lead_id=lead_id)


def bearer_token(connection: HTTPConnection) -> str:
    """What stands behind `Authorization: Bearer`; raises Unauthorized."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized
    return token.strip()


async def authenticate(connection: HTTPConnection) -> Actor:
    """The person behind `Authorization: Bearer`; raises Unauthorized, and RegistrationRequired for a lead."""
    platform, token = get_platform(connection), bearer_token(connection)
    try:
        actor = await actor_of_token(platform, token)
    except Unauthorized:
        lead = None if api_key_tokens.looks_like_a_key(token) else await lead_of_token(platform, token)
        if lead is None:
            raise
        await admit(connection, lead)
        raise RegistrationRequired from None
    return await admit(connection, actor)


async def authenticate_lead(connection: HTTPConnection) -> LeadScope | None:
    """The lead behind `Authorization: Bearer`, None when somebody else calls; raises Unauthorized."""
    platform, token = get_platform(connection), bearer_token(connection)
    if platform.part(SessionCache).get(token) is not None:  # a person's, checked a moment ago
        return None
    actor = await lead_of_token(platform, token)
    if actor is None:
        return None
    assert actor.lead_id is not None
    return LeadScope(await admit(connection, actor), actor.lead_id)


async def admit(connection: HTTPConnection, actor: Actor) -> Actor:
    """Count the call against its caller, and leave the caller's name where Idempotency-Key is scoped by it."""
    platform = get_platform(connection)
    policy = Policy("caller", platform.settings.rate_limit_caller)
    await platform.limiter.hit_request(connection, policy, actor.key)
    connection.state.caller = actor.key
    connection.state.person = actor.person
    acting.with_key(actor.api_key_id)
    return actor


class Guard:
    """Base of all guards; `permission` and `table` are what the access matrix is generated from."""

    permission: str | None = None
    table: str | None = None


class SignedIn(Guard):
    """Any person with a live session, over what is theirs alone. With an `area` also an API key of theirs, with the
    scope for reading or for writing there by the request's method; without one no key may.
    """

    def __init__(self, area: str | None = None) -> None:
        self.area = area

    async def __call__(self, request: Request) -> UserScope:
        actor = await authenticate(request)
        reads = request.method in ("GET", "HEAD")
        needed = KeyScope(f"{self.area}:{'read' if reads else 'write'}") if self.area is not None else None
        return own_scope(actor, needed, NotFound)


class Itself(SignedIn):
    """The same for who asks about themselves. A key of one workspace may ask too, and needs no scope for it: it
    learns nothing of its maker's own.
    """

    def __init__(self) -> None:
        super().__init__("profile")

    async def __call__(self, request: Request) -> UserScope:
        actor = await authenticate(request)
        if actor.api_key is not None and actor.api_key.workspace_id is not None:
            assert actor.user_id is not None
            return UserScope(actor, actor.user_id)
        return own_scope(actor, KeyScope.PROFILE_READ, NotFound)


class Operator(Guard):
    """A user marked as admin, or the holder of `x-admin-key`."""

    async def __call__(self, request: Request) -> AdminScope:
        platform = get_platform(request)
        given = request.headers.get("x-admin-key")
        if given is not None:
            # Asked before comparing: once the guesses are used up, a right one must not be told from a wrong one.
            guesses = Policy("admin-key", platform.settings.rate_limit_auth)
            await platform.limiter.test(guesses, client_address(request))
            expected = platform.settings.admin_key
            if expected is None or not hmac.compare_digest(given.encode(), expected.get_secret_value().encode()):
                await platform.limiter.hit(guesses, client_address(request))
                raise Unauthorized("The admin key is wrong.")
            return AdminScope(await admit(request, Actor(ActorKind.ADMIN_KEY, is_admin=True)))
        actor = await authenticate(request)
        if actor.api_key is not None:
            raise ApiKeyNotAllowed
        if not actor.is_admin:
            raise Forbidden("Only an administrator of this installation may do this.")
        return AdminScope(actor)


class Require(Guard):
    """A member of the row's workspace whose role has the permission.

    The row's id comes from the path (`{workspace_id}` for `of="workspaces"`), or from a query parameter or body
    field when `at` names one. `deleted` says which workspaces are in sight: the living, the deleted, or (None) both.
    """

    def __init__(self, permission: str, of: str, at: str | None = None, *, deleted: bool | None = False) -> None:
        self.permission = permission
        self.table = of
        self.at = at
        self.deleted = deleted

    async def __call__(self, request: Request) -> WorkspaceScope:
        actor = await authenticate(request)
        row_id = await self._row_id(request)
        return await workspace_scope(
            get_platform(request), actor, self.table or "", row_id, self.permission or "", deleted=self.deleted
        )

    async def _row_id(self, request: Request) -> UUID:
        if self.at is None:
            return _path_id(request)
        raw = await named_value(request, self.at)
        if raw is None:
            raise ValidationFailed(
                f"{self.at} is required", details=[{"pointer": f"/{self.at}", "detail": "Field required"}]
            )
        return read_id(raw, self.at)


class RequireAccount(Guard):
    """The caller's own wallet, or with `workspaceId` (query or body) that workspace's pool; never the other.

    With `leads` a lead's token is good too, for the lead's own credits; for a lead there are no workspaces.
    """

    table = "workspaces"

    def __init__(self, permission: str, *, leads: bool = False) -> None:
        self.permission = permission
        self.leads = leads

    async def __call__(self, request: Request) -> CreditScope:
        lead = await authenticate_lead(request) if self.leads else None
        if lead is not None:
            if await named_value(request, "workspaceId") is not None:
                raise WorkspaceNotFound
            return lead
        return await self.of_person(request)

    async def of_person(self, request: Request) -> AccountScope:
        """The scope of a signed-in caller; raises Unauthorized, WorkspaceNotFound or Forbidden."""
        actor = await authenticate(request)
        raw = await named_value(request, "workspaceId")
        if raw is None:
            return own_scope(actor, scope_of_permission(self.permission or ""), WorkspaceNotFound)
        workspace_id = read_id(raw, "workspaceId")
        return await workspace_scope(get_platform(request), actor, "workspaces", workspace_id, self.permission or "")


class RequireAccountOf(Guard):
    """The account that owns the row named in the path: the caller's own wallet, or a pool their role may act on."""

    def __init__(self, permission: str, of: str, *, leads: bool = False) -> None:
        self.permission = permission
        self.table = of
        self.leads = leads

    async def __call__(self, request: Request) -> CreditScope:
        lead = await authenticate_lead(request) if self.leads else None
        actor = lead.actor if lead is not None else await authenticate(request)
        platform = get_platform(request)
        async with platform.database.reading() as session:
            account_id = await self.account_of(session, request)
        if account_id is None:
            raise NotFound
        if lead is not None:
            if account_id != lead.lead_id:
                raise NotFound
            return lead
        if account_id == actor.user_id:
            return own_scope(actor, scope_of_permission(self.permission or ""), NotFound)
        try:
            return await workspace_scope(platform, actor, "workspaces", account_id, self.permission or "")
        except WorkspaceNotFound:
            raise NotFound from None

    async def account_of(self, session: AsyncSession, request: Request) -> UUID | None:
        """Whose the row is; None when there is none."""
        return await repository.account_of_row(session, self.table or "", _path_id(request))


async def workspace_scope(
    platform: Platform, actor: Actor, table: str, row_id: UUID, permission: str, *, deleted: bool | None = False
) -> WorkspaceScope:
    """The caller's scope over the workspace that owns a row; raises NotFound or Forbidden."""
    assert actor.user_id is not None
    missing = WorkspaceNotFound if table == "workspaces" else NotFound
    async with platform.database.reading() as session:
        owner = (row_id, None) if table == "workspaces" else await repository.owner_of_row(session, table, row_id)
        if owner is None:
            raise missing
        workspace_id, scope_id = owner
        if actor.api_key is not None and actor.api_key.workspace_id not in (None, workspace_id):
            raise missing
        place = await repository.role_in(session, workspace_id, actor.user_id)
        if place is None:
            raise missing
        role, deleted_at = place
        if deleted is not None and (deleted_at is not None) != deleted:
            raise missing
        if scope_id is not None:
            within = await repository.role_in_scope(session, scope_id, actor.user_id, role)
            if within is None:
                raise missing
            role = within
    require_scope(actor, scope_of_permission(permission))
    if not allows(role, permission):
        raise role_lacks(role, permission)
    return WorkspaceScope(actor, workspace_id, actor.user_id, role)


def _path_id(request: Request) -> UUID:
    last = list(request.path_params.values())[-1]
    try:
        return UUID(str(last))
    except ValueError:
        raise NotFound from None


def read_id(raw: Any, name: str) -> UUID:
    try:
        return UUID(raw)
    except (ValueError, AttributeError, TypeError):
        raise ValidationFailed(
            f"{name} is not an id", details=[{"pointer": f"/{name}", "detail": "Input should be a valid UUID"}]
        ) from None


async def named_value(request: Request, name: str) -> Any:
    """A query parameter or a field of the JSON body (which the framework has read already).

    Raises ValidationFailed when both are sent and differ: the service goes by the one, the caller may mean the other.
    """
    in_query = request.query_params.get(name)
    if request.method in ("GET", "HEAD", "DELETE"):
        return in_query
    try:
        # The very value the framework validates: two parsers could disagree about whose credits are meant.
        content = await request.json() if await request.body() else None
    except (ValueError, RecursionError):  # the latter of what is nested too deep, under another media type
        raise MalformedBody from None
    in_body = content.get(name) if isinstance(content, dict) else None
    if in_query is not None and in_body is not None and read_id(in_query, name) != read_id(in_body, name):
        raise ValidationFailed(
            f"{name} in the address and in the body differ",
            details=[{"pointer": f"/{name}", "detail": "Differs from the query parameter of this name"}],
        )
    return in_body if in_query is None else in_query


signed_in = SignedIn()
"""For what concerns a person's own security, and whatever else no API key may do."""
operator = Operator()
itself = Itself()


def signed_in_or_key(area: str) -> SignedIn:
    """For what is a person's own: their session, or a key with `<area>:read` or `<area>:write`."""
    return SignedIn(area)


def require(permission: str, *, of: str, at: str | None = None, deleted: bool | None = False) -> Require:
    return Require(permission, of, at, deleted=deleted)


def require_account(permission: str, *, leads: bool = False) -> RequireAccount:
    return RequireAccount(permission, leads=leads)


def require_account_of(table: str, permission: str, *, leads: bool = False) -> RequireAccountOf:
    return RequireAccountOf(permission, table, leads=leads)
