"""Which part of a file somebody asks for (RFC 9110 §14). Pure."""

import re
from dataclasses import dataclass
from typing import Final

from pm_api.domains.storage.errors.files import RangeNotSatisfiable

_ONE: Final = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,19})-([0-9]{0,19})[ \t]*", re.IGNORECASE)
LONGEST: Final = 64
"""One range is shorter than this, and only one is served."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes from `start` up to, without, `end`."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        return self.end - self.start

    def told(self, size_bytes: int) -> str:
        """`Content-Range` of a file so long."""
        return f"bytes {self.start}-{self.end - 1}/{size_bytes}"


def part_of(asked: str | None, if_range: str | None, *, size_bytes: int, tag: str) -> Part | None:
    """The part that is asked for, or None for the whole: also where several are asked for, where it cannot be read,
    and where `If-Range` names other bytes than these. Raises RangeNotSatisfiable.
    """
    if asked is None or len(asked) > LONGEST or (if_range is not None and if_range.strip() != tag):
        return None
    found = _ONE.fullmatch(asked.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":  # so many from the end
        start, end = max(0, size_bytes - int(found[2])), size_bytes
    else:
        start = int(found[1])
        end = min(int(found[2]) + 1, size_bytes) if found[2] else size_bytes
        if found[2] and int(found[2]) < start:
            return None  # not a range at all
    if start >= size_bytes or start >= end:
        raise RangeNotSatisfiable(size_bytes)
    return Part(start, end)


def is_known(if_none_match: str | None, tag: str) -> bool:
    """Whether the caller has these bytes already."""
    if if_none_match is None:
        return False
    known = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return "*" in known or tag in known
