"""What is an emoji, and how unread messages are counted: without a database."""

import unicodedata
from typing import Final

LONGEST_EMOJI: Final = 16
COUNTED: Final = 99
EXAMINED: Final = 1000
"""So many messages after the reading position are looked at: one's own and deleted ones are among them."""

_JOINER, _PICTURE, _KEYCAP = "\u200d", "\ufe0f", "\u20e3"
_KEYS: Final = frozenset("0123456789#*")
_PUNCTUATION: Final = frozenset("\u203c\u2049\u3030\u303d")
_FIRST_ARROW: Final = "\u2190"


def is_emoji(text: str) -> bool:
    """Whether a text is made of nothing but pictures and what joins or colours them: no letters, no blanks, and
    nothing that turns the direction of writing.
    """
    if not 0 < len(text) <= LONGEST_EMOJI:
        return False
    if text[-1] == _KEYCAP:
        return text[0] in _KEYS and text[1:-1] in ("", _PICTURE)
    return any(map(_is_picture, text)) and all(_is_picture(one) or _joins(one) for one in text)


def _is_picture(one: str) -> bool:
    category = unicodedata.category(one)
    return category == "So" or (category == "Sm" and one >= _FIRST_ARROW) or one in _PUNCTUATION


def _joins(one: str) -> bool:
    return one in (_JOINER, _PICTURE) or "\U0001f3fb" <= one <= "\U0001f3ff" or "\U000e0020" <= one <= "\U000e007f"


def shown_count(found: int, behind: int) -> tuple[int, bool]:
    """(unread, whether there are more than that) of what was found, `behind` messages after the reading position."""
    return min(found, COUNTED), found > COUNTED or (behind > EXAMINED)
