"""Who acts, and over what: the only things a service may learn about a caller.

Every repository read takes a scope, so that "which tenant?" cannot be forgotten.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class ActorKind(StrEnum):
    USER = "user"
    ADMIN_KEY = "admin_key"
    SYSTEM = "system"
    LEAD = "lead"
    API_KEY = "api_key"


@dataclass(frozen=True, slots=True)
class ApiKeyGrant:
    """What an API key opens: what its maker's role allows, within its scopes. With a `workspace_id` nothing but that
    workspace, not even what is its maker's own.
    """

    id: UUID
    workspace_id: UUID | None = None
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Actor:
    """The authenticated caller. `user_id` and `session_id` are null for the operator's key, the system and a lead,
    which has a `lead_id` instead. Of an API key `user_id` is its maker, and `api_key` says which key and for what.
    """

    kind: ActorKind
    user_id: UUID | None = None
    session_id: UUID | None = None
    is_admin: bool = False
    lead_id: UUID | None = None
    api_key: ApiKeyGrant | None = None

    @property
    def api_key_id(self) -> UUID | None:
        return self.api_key.id if self.api_key is not None else None

    @property
    def credential_id(self) -> UUID | None:
        """The session or the API key behind this call: once it has ended, so has whatever was opened with it."""
        return self.session_id or self.api_key_id

    @property
    def person(self) -> str:
        """Stable text of who it is, whatever they came with: their guesses are counted by it, so that more keys are
        no more guesses.
        """
        return str(self.user_id or self.lead_id or self.kind)

    @property
    def key(self) -> str:
        """Stable text that namespaces this caller's idempotency keys and rate limits."""
        identifier = self.api_key_id or self.user_id or self.lead_id
        return f"{self.kind}:{identifier}" if identifier else str(self.kind)


@dataclass(frozen=True, slots=True)
class UserScope:
    """A person over what is theirs alone."""

    actor: Actor
    user_id: UUID


@dataclass(frozen=True, slots=True)
class WorkspaceScope:
    """A member over one workspace, with the role the guard found."""

    actor: Actor
    workspace_id: UUID
    user_id: UUID
    role: str


@dataclass(frozen=True, slots=True)
class LeadScope:
    """A visitor without an account over the credits they try the product with."""

    actor: Actor
    lead_id: UUID


@dataclass(frozen=True, slots=True)
class AdminScope:
    """The operator: a user marked as admin, or the holder of the admin key."""

    actor: Actor


@dataclass(frozen=True, slots=True)
class SystemScope:
    """The service itself: jobs, webhooks and the command line only. `reason` says what for, to who reads the code: an
    audit row names the actor alone, and tells by its action what was done.
    """

    reason: str
    actor: Actor = Actor(ActorKind.SYSTEM)


AccountScope = UserScope | WorkspaceScope
"""Where credits and plans live: a person's own wallet, or a workspace's pool."""

CreditScope = AccountScope | LeadScope
"""Where credits are spent: the same, or what a lead was given. Only routes that say so let leads in."""
