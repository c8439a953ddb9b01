"""How unread messages are counted, without a database."""

from typing import Final

COUNTED: Final = 99
EXAMINED: Final = 1000
"""So many messages after the reading position are looked at: one's own and deleted ones are among them."""


def shown_count(found: int, behind: int) -> tuple[int, bool]:
    """(unread, whether there are more than that) of what was found, `behind` messages after the reading position."""
    return min(found, COUNTED), found > COUNTED or (behind > EXAMINED)
