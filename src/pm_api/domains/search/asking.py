"""Questions: what somebody typed, read as web search engines read it, and written for PostgreSQL.

Words stand together, `"words in quotes"` in that order, `-word` must not occur, `or` parts alternatives. Whatever
else is typed is words or nothing: no question is wrong.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pm_api.domains.search.words import BEGINNING_LONGEST, beginning_mark, lexeme, shortest_beginning, words_of

WORDS_MOST: Final = 24
"""Words of a question that are looked for; those after them are left out."""

_TERM: Final = re.compile(r'(-?)"([^"]*)"?|(\S+)')
_KEY: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9]{0,15})-(\d{1,9})\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Term:
    """Words in their order. A `prefix` is the last of them only begun."""

    words: tuple[str, ...]
    negated: bool = False
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """Alternatives, each with terms of which all must fit; at least one of them is something to look for."""

    alternatives: tuple[tuple[Term, ...], ...]

    @property
    def is_empty(self) -> bool:
        return not self.alternatives

    def expression(self, tag: str) -> str:
        """As a tsquery for the documents of one workspace, exactly."""
        return _any_of(_all_of(_written(term, tag) for term in terms) for terms in self.alternatives)

    def sieve(self, tag: str) -> str:
        """The same for the index, which looks a beginning up as the word it is kept as."""
        return _any_of(_all_of(_sieved(term, tag) for term in terms) for terms in self.alternatives)

    @property
    def is_sieved_whole(self) -> bool:
        """Whether what the sieve lets through fits; else it has to be looked at."""
        begun = [term for terms in self.alternatives for term in terms if term.prefix]
        return all(len(term.words) == 1 and len(term.words[0]) <= BEGINNING_LONGEST for term in begun)

    def marked(self) -> tuple[frozenset[str], tuple[str, ...]]:
        """(words to mark wherever they stand, beginnings of words to mark)."""
        wanted = [term for terms in self.alternatives for term in terms if not term.negated]
        begun = tuple(term.words[-1] for term in wanted if term.prefix)
        whole = (word for term in wanted for word in (term.words[:-1] if term.prefix else term.words))
        return frozenset(whole), begun


def key_of(text: str) -> tuple[str, int] | None:
    """The project's key and the number, when the whole question is one task's name: WEB-42."""
    found = _KEY.fullmatch(text)
    return (found[1].upper(), int(found[2])) if found else None


def parse(text: str) -> Question:
    """Never fails; a question without a word to look for is empty, and finds nothing."""
    alternatives: list[list[Term]] = [[]]
    left = WORDS_MOST
    found = list(_TERM.finditer(text))
    for at, one in enumerate(found):
        is_last = at == len(found) - 1
        quoted, bare = one[2], one[3]
        if bare is not None and bare.lower() == "or" and at > 0 and not is_last:
            alternatives.append([])
            continue
        words = tuple(word.folded for word in words_of(quoted if bare is None else bare))[:left]
        if not words:
            continue
        left -= len(words)
        negated = one[1] == "-" if bare is None else bare.startswith("-")
        open_ended = bare is not None and is_last and not negated and not text[-1].isspace()
        prefix = open_ended and len(words[-1]) >= shortest_beginning(words[-1])
        alternatives[-1].append(Term(words, negated, prefix))
    return Question(tuple(tuple(terms) for terms in alternatives if any(not term.negated for term in terms)))


def narrowed(expression: str, tag: str, *choices: Sequence[str]) -> str:
    """The same among the documents with one mark of each choice; an empty choice leaves its question open."""
    marks = [_any_of(lexeme(tag, mark) for mark in choice) for choice in choices if choice]
    return _all_of([expression, *marks])


def either(expressions: Iterable[str]) -> str:
    return _any_of(expressions)


def _written(term: Term, tag: str) -> str:
    words = [lexeme(tag, word) for word in term.words]
    if term.prefix:
        words[-1] += ":*"
    phrase = f"({' <-> '.join(words)})"
    return f"!{phrase}" if term.negated else phrase


def _sieved(term: Term, tag: str) -> str:
    if not term.prefix:
        return _written(term, tag)
    *whole, begun = term.words
    last = _any_of([lexeme(tag, begun), lexeme(tag, beginning_mark(begun))])
    return _all_of([*(lexeme(tag, word) for word in whole), last])


def _all_of(parts: Iterable[str]) -> str:
    return f"({' & '.join(parts)})"


def _any_of(parts: Iterable[str]) -> str:
    return f"({' | '.join(parts)})"
