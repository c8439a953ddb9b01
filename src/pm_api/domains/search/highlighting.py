"""Highlights: where in a text the words of a question stand, as HTML that is safe whatever the text says."""

import html
from collections.abc import Sequence
from typing import Final

from pm_api.domains.search.asking import Question
from pm_api.domains.search.words import Word, words_of

BEFORE, AFTER = 60, 140
"""Letters of a text that are shown around the first word of a piece."""
PIECES_MOST: Final = 2
GAP: Final = " … "


class Highlighter:
    """Marks the words of one question in any number of texts."""

    def __init__(self, question: Question) -> None:
        self._whole, self._begun = question.marked()

    def whole(self, text: str) -> str | None:
        """All of a short text with `<mark>` around what was looked for; None when nothing of it is there."""
        hits = self._hits(text)
        return _marked(text, 0, len(text), hits) if hits else None

    def pieces(self, text: str) -> str | None:
        """The same of a long text: the places of it where something stands."""
        hits = self._hits(text)
        if not hits:
            return None
        pieces: list[str] = []
        reached = 0
        for hit in hits:
            if hit.start < reached:
                continue
            if len(pieces) == PIECES_MOST:
                break
            start, end = _piece(text, hit, reached)
            shown = _marked(text, start, end, hits)
            pieces.append(f"{'… ' if start > reached and not pieces else ''}{shown}")
            reached = end
        return GAP.join(pieces) + (" …" if reached < len(text) else "")

    def _hits(self, text: str) -> list[Word]:
        return [
            word
            for word in words_of(text)
            if word.folded in self._whole or (self._begun and word.folded.startswith(self._begun))
        ]


def _piece(text: str, hit: Word, reached: int) -> tuple[int, int]:
    """A stretch around a word that begins and ends between words where it can."""
    start, end = max(reached, hit.start - BEFORE), min(len(text), hit.end + AFTER)
    if start > reached:
        space = text.find(" ", start, hit.start)
        start = start if space < 0 else space + 1
    if end < len(text):
        space = text.rfind(" ", hit.end, end)
        end = end if space < 0 else space
    return start, end


def _marked(text: str, start: int, end: int, hits: Sequence[Word]) -> str:
    written: list[str] = []
    at = start
    for hit in hits:
        if hit.start < start or hit.end > end:
            continue
        written += [html.escape(text[at : hit.start]), "<mark>", html.escape(text[hit.start : hit.end]), "</mark>"]
        at = hit.end
    return "".join([*written, html.escape(text[at:end])])
