"""Words of a text: where they stand, what is compared of them, and how a document's are written for the index.

Content has many languages, so nothing is stemmed and no stop words are left out: a word is compared without case and
without accents, and the last word of a question stands for all that begin with it. What is written without spaces
(Chinese, Japanese) is taken letter by letter, and a run of letters is a phrase. Questions, documents and highlights
go through the same few lines, so that what is found is what is marked.
"""

import hashlib
import re
import unicodedata
from base64 import b32encode
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple
from uuid import UUID

WORD_KEPT: Final = 40
"""Letters of a word that are compared."""
POSITION_MOST: Final = 16_000
"""PostgreSQL counts places within a document to 16,383."""
PLACES_MOST: Final = 50
TITLE_KEPT, BODY_KEPT = 500, 20_000
BEGINNINGS_MOST: Final = 200
"""Words of a text, from its first, of which the beginnings are kept too."""
BEGINNING_LONGEST: Final = 8
SHIFTS: Final = (10, 13, 16, 19, 22, 25)
"""Stretches of positions that a document is marked with: of 1,024, of 8,192, and so on."""

_LETTERLIKE: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
_ACCENTS: Final = re.compile("[\u0300-\u036f]")


def _marks() -> str:
    """The signs that belong to the letter before them, as ranges of a character class."""
    ranges: list[list[int]] = []
    for point in range(0x300, 0x10000):
        if unicodedata.category(chr(point))[0] == "M":
            if ranges and ranges[-1][1] == point - 1:
                ranges[-1][1] = point
            else:
                ranges.append([point, point])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_WORD: Final = re.compile(rf"[{_LETTERLIKE}]|(?:(?![{_LETTERLIKE}])(?:[^\W_]|[{_marks()}]))+")


class Word(NamedTuple):
    """A word of a text, and what is compared of it."""

    start: int
    end: int
    folded: str


def words_of(text: str) -> Iterator[Word]:
    for found in _WORD.finditer(text):
        folded = fold(found.group())
        if folded:
            yield Word(found.start(), found.end(), folded)


def fold(word: str) -> str:
    """Without case, width and accents, letters and digits alone."""
    if word.isascii():
        return word.lower()[:WORD_KEPT]
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", word.casefold()))
    kept = "".join(one for one in unicodedata.normalize("NFC", bare) if one.isalnum() or _WORD.fullmatch(one))
    return kept[:WORD_KEPT]


def tag_of(workspace_id: UUID) -> str:
    """Four letters before every word of a workspace, so that tenants have lists of their own in the index. Two may
    share one: it saves reading others' rows, it is not what keeps them apart.
    """
    return b32encode(hashlib.blake2b(workspace_id.bytes, digest_size=3).digest())[:4].decode().lower()


def mark_of(sort: str, thing: UUID | str | None) -> str:
    """What tells of a document where it belongs; no word looks like it."""
    return f"{sort}{thing.hex[-12:] if isinstance(thing, UUID) else thing or ''}"


OWNED_MARK: Final = "@own"
"""In place of its circle's, of what only its owner and admins see."""


def kind_mark(kind: str) -> str:
    return mark_of("!", kind)


def scope_mark(scope_id: UUID | None) -> str:
    return mark_of("@", scope_id)


def project_mark(project_id: UUID) -> str:
    return mark_of("%", project_id)


def stretch_mark(shift: int, number: int) -> str:
    return f"#{shift}.{number}"


def beginning_mark(word: str) -> str:
    return mark_of("^", word[:BEGINNING_LONGEST])


def shortest_beginning(word: str) -> int:
    """Letters from which a beginning stands for what begins so: three, or one where letters are syllables."""
    return 3 if ord(word[0]) < 0x800 else 1


def beginnings(word: str) -> Iterator[str]:
    """Kept as words of their own: else the index would gather all that begins alike before it looks what is
    new.
    """
    for length in range(shortest_beginning(word), min(len(word) - 1, BEGINNING_LONGEST) + 1):
        yield beginning_mark(word[:length])


def vector(tag: str, *, title: str, body: str, marks: Iterable[str]) -> str:
    """A document as PostgreSQL reads a tsvector: the title's words weigh A, the body's B, the marks nothing."""
    places: dict[str, list[str]] = {}
    at = 0
    for weight, text in (("A", title), ("B", body)):
        for word in words_of(text):
            at = min(at + 1, POSITION_MOST)
            found = places.setdefault(word.folded, [])
            if len(found) < PLACES_MOST:
                found.append(f"{at}{weight}")
        at = min(at + 10, POSITION_MOST)  # no phrase reaches from the title into the body
    written = [f"{lexeme(tag, word)}:{','.join(found)}" for word, found in places.items()]
    begun = dict.fromkeys(one for word in islice(places, BEGINNINGS_MOST) for one in beginnings(word))
    return " ".join([*written, *(lexeme(tag, mark) for mark in (*begun, *marks))])


def lexeme(tag: str, word: str) -> str:
    """Quoted as tsvector and tsquery read it. Words have letters and digits alone, marks a few signs more."""
    return f"'{tag}{word}'"
