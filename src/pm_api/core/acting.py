"""With which API key the request at hand is made: what is recorded on the way names it beside the person.

Like the request's id it is known to whoever records, and to nobody else: no rule may depend on it.
"""

from contextvars import ContextVar
from uuid import UUID

_key_id: ContextVar[UUID | None] = ContextVar("api_key_id", default=None)


def with_key(key_id: UUID | None) -> None:
    """From now on in this request; None for a caller without a key."""
    _key_id.set(key_id)


def key_id() -> UUID | None:
    """The API key behind this request; None outside a request, and where nobody used one."""
    return _key_id.get()
