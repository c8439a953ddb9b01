"""What files are called: a name that any disk, header and reader takes as one name. Pure."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from pm_api.core.schema import TURNING, UNSEEN

LONGEST_BYTES: Final = 255
"""In UTF-8: what file systems take."""
LONGEST_EXTENSION_BYTES: Final = 32
NAMELESS: Final = "file"
RESERVED: Final = frozenset(
    {"CON", "PRN", "AUX", "NUL", *(f"COM{one}" for one in range(1, 10)), *(f"LPT{one}" for one in range(1, 10))}
)
"""Names of devices: Windows opens those instead, whatever extension follows."""
_FORBIDDEN: Final = frozenset('<>:"|?*')
_SEPARATORS: Final = re.compile(r"[/\\\u2044\u2215\u29f5\u29f8\uff0f\uff3c]")
"""The two that divide paths, and those that look like them."""
_DROPPED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})
_DROPPED: Final = TURNING | {"\u200b", "\u200e", "\u200f", "\u2060", "\ufeff", "\ufffd"}
_TAGS: Final = range(0xE0000, 0xE0080)
_ASCII_UNSAFE: Final = frozenset('"\\%;')


def clean_name(raw: str) -> str:
    """The safe name nearest to what somebody calls a file: the last part of a path, on one line, without what is not
    seen or turns its surroundings around, at most 255 bytes long with its extension kept.
    """
    name = unicodedata.normalize("NFC", _SEPARATORS.split(raw.rstrip("/\\"))[-1])
    kept = "".join(" " if one in "\t\r\n\u2028\u2029" else one for one in name if not _is_dropped(one))
    kept = " ".join(kept.translate({ord(one): "_" for one in _FORBIDDEN}).split()).rstrip(". ")
    if all(one in UNSEEN or one == "." or unicodedata.category(one) in ("Cf", "Mn", "Me", "Zs") for one in kept):
        return NAMELESS
    if kept.partition(".")[0].rstrip().upper() in RESERVED:
        kept = f"_{kept}"
    return _cut(kept)


def is_clean(name: str) -> bool:
    """Whether it may be written down as it is."""
    return bool(name) and clean_name(name) == name


def distinct(names: Iterable[str]) -> list[str]:
    """The same names, each told apart from those before it, also where a disk does not tell A from a: `a.txt`,
    `a (2).txt` …
    """
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    found = []
    for name in names:
        plain, candidate = _folded(name), name
        while _folded(candidate) in taken:
            numbers[plain] = numbers.get(plain, 1) + 1
            candidate = _numbered(name, numbers[plain])
        taken.add(_folded(candidate))
        found.append(candidate)
    return found


def disposition(name: str, *, inline: bool) -> str:
    """`Content-Disposition` (RFC 6266, RFC 8187): the name in ASCII for old readers, and as it is. It holds nothing
    that ends a header or a quoted text, whatever the name holds.
    """
    kind = "inline" if inline else "attachment"
    safe = clean_name(name)
    plain = "".join(
        one if " " <= one <= "~" and one not in _ASCII_UNSAFE else "_"
        for one in unicodedata.normalize("NFKD", safe)
        if not unicodedata.combining(one)
    )
    if plain == safe:
        return f'{kind}; filename="{plain}"'
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


def extension(name: str) -> str:
    """What stands behind the last dot, in lower case and without it; empty when there is none."""
    stem, dot, last = name.rpartition(".")
    return last.lower() if dot and stem and last.isalnum() and last.isascii() else ""


def _is_dropped(one: str) -> bool:
    if one in "\t\r\n\u2028\u2029":
        return False
    return one in _DROPPED or ord(one) in _TAGS or unicodedata.category(one) in _DROPPED_CATEGORIES


def _cut(name: str, most: int = LONGEST_BYTES) -> str:
    if len(name.encode()) <= most:
        return name
    stem, ending = _split(name)
    room = most - len(ending.encode())
    shortened = stem.encode()[:room].decode("utf-8", "ignore")
    # Not between a letter and what is put onto it.
    while shortened and (
        unicodedata.combining(stem[len(shortened)]) or stem[len(shortened)] == "\u200d" or shortened[-1] == "\u200d"
    ):
        shortened = shortened[:-1]
    return (shortened.rstrip(" .") or NAMELESS) + ending


def _split(name: str) -> tuple[str, str]:
    stem, dot, last = name.rpartition(".")
    if not dot or not stem or len(last.encode()) > LONGEST_EXTENSION_BYTES:
        return name, ""
    return stem, f".{last}"


def _numbered(name: str, number: int) -> str:
    stem, ending = _split(name)
    suffix = f" ({number}){ending}"
    return _cut(stem, LONGEST_BYTES - len(suffix.encode())) + suffix


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
