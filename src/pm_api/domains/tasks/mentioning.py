"""Whom a text names, written as `@[Ann Archer](user:<id>)`. Pure: same in, same out.

The name is what its writer saw; who is meant is the id alone. A bracket within a name is written `\\]`.
"""

import re
from collections.abc import Iterable
from typing import Final
from uuid import UUID

MENTION: Final = re.compile(
    r"@\[((?:[^\]\\\n]|\\.){1,200})\]"
    r"\(user:([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\)",
    re.ASCII | re.IGNORECASE,
)
ESCAPED: Final = re.compile(r"\\(.)")


def mentioned(body: str, others: Iterable[UUID] = ()) -> list[UUID]:
    """The ids in a text, then those that were sent beside it, each once."""
    return list(dict.fromkeys([*(UUID(one[2]) for one in MENTION.finditer(body)), *others]))


def as_read(body: str) -> str:
    """The text as somebody reads it where nothing can be clicked: `@Ann Archer`."""
    return MENTION.sub(lambda one: f"@{ESCAPED.sub(lambda escaped: escaped[1], one[1])}", body)


def renamed(body: str, user_id: UUID, name: str) -> str:
    """The text with another name for somebody, wherever it names them."""
    return MENTION.sub(lambda one: f"@[{name}](user:{one[2]})" if UUID(one[2]) == user_id else one[0], body)
