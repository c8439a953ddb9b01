"""Whatever is written or asked: never a 5xx, and highlights are HTML that does nothing."""

import re
from html.parser import HTMLParser
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_api.domains.search import words
from pm_api.domains.search.asking import parse
from pm_api.domains.search.highlighting import Highlighter
from tests.conftest import Person
from tests.domains.search.shelf import Shelf, ask, found, search
from tests.support.soak import rounds

HOSTILE = (
    "<script>alert(1)</script> launch",
    '"><img src=x onerror=alert(1)> launch',
    "<mark>launch</mark>",
    "launch &lt;b&gt; & 'quotes' \"double\"",
    "=cmd|' /C calc'!A0 launch",
    "\u202elaunch\u202c شركة launch",
    "launch \ud7ff \U0001f680\u200d\u0000".replace("\u0000", ""),
    "la<b>un</b>ch launch'); DROP TABLE search_documents; --",
    "launch:A1B' & !'x' | (y) <-> \\z",
    "\\' launch '' \\\\",
)


class OnlyMarks(HTMLParser):
    """What a browser would make of it: fails on any element but `mark`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.marked: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert (tag, attrs, self._depth) == ("mark", [], 0)
        self._depth += 1
        self.marked.append("")

    def handle_endtag(self, tag: str) -> None:
        assert tag == "mark"
        self._depth -= 1

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._depth:
            self.marked[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def read(text: str) -> OnlyMarks:
    parser = OnlyMarks()
    parser.feed(text)
    parser.close()
    return parser


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_found_and_shown_as_text(shelf: Shelf, owner: Person, text: str) -> None:
    document = await shelf.put(text, text)
    [result] = await search(owner, "launch")
    assert result["id"] == str(document)
    assert result["title"] == text
    shown = {one["field"]: read(one["text"]) for one in result["highlights"]}
    assert shown["title"].text == text
    assert set(shown["title"].marked) <= {"launch"}
    assert shown["title"].marked
    assert "<script" not in str(result["highlights"])


ODD = (
    "...",
    "&|!()<->:*",
    '"',
    '""',
    "-",
    "- -launch",
    "or",
    "or or or",
    "'; DROP TABLE users; --",
    "\\",
    "%",
    "_",
    "\t\n",
    '"unended phrase',
    "🚀",
    "\u202e\u200f",
    "a" * 200,
    "-x " * 60,
    '"' * 200,
    "launch:*A",
    "éà",
    "日" * 200,
    "x or " * 40,
)


@pytest.mark.parametrize("q", ODD)
async def test_odd_questions_find_nothing_or_little(shelf: Shelf, owner: Person, q: str) -> None:
    await shelf.put("Launch plan")
    answer = await ask(owner, q)
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"] == [] or "launch" in q.lower()


@pytest.mark.parametrize("raw", ["q=%00", "q=a%00b", "q=%ff%fe", "q=%ed%a0%80", "q=" + "x" * 10_000])
async def test_what_is_no_text_is_refused(owner: Person, raw: str) -> None:
    answer = await owner.client.get(f"/api/search?{raw}")
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        assert answer.json()["results"] == []


async def test_a_very_long_text_is_cut(shelf: Shelf, owner: Person) -> None:
    """A megabyte without a space, one of different words, and one of a single word over and over."""
    for body in ("x" * 1_000_000, " ".join(f"w{n}" for n in range(150_000)), "again " * 170_000):
        await shelf.put("launch " + body, body)
    assert len(await found(owner, "launch")) == 3
    [result] = await search(owner, "w1000")
    assert len(result["title"]) == words.TITLE_KEPT
    assert all(len(one["text"]) < 1000 for one in result["highlights"])
    assert await found(owner, "w100000") == []


async def test_a_document_never_stands_in_anothers_way(shelf: Shelf, owner: Person) -> None:
    """Words that look like the marks of where documents belong."""
    hidden = await shelf.circle()
    await shelf.put("launch", scope_id=hidden)
    tag = words.tag_of(shelf.workspace_id)
    forged = await shelf.put(f"{tag}!comment @{hidden.hex[-12:]} #12.0 {tag}#12.0 %{uuid4().hex} launch")
    assert await found(owner, "launch") == [forged]
    assert await found(owner, f"launch {tag}!comment", kinds="comment") == []


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=400)


@settings(max_examples=rounds(60, 5000), deadline=None)
@given(text=texts, q=texts)
def test_highlights_are_the_text_itself(text: str, q: str) -> None:
    """Parsed as a browser does, nothing is left of them but the text, with words marked that were asked for."""
    highlighter = Highlighter(parse(q))
    whole, begun = parse(q).marked()
    marked = highlighter.whole(text)
    if marked is not None:
        shown = read(marked)
        assert shown.text == re.sub("\r\n?", "\n", text) or shown.text == text
        for one in shown.marked:
            folded = [word.folded for word in words.words_of(one)]
            assert all(word in whole or word.startswith(begun) for word in folded)
    pieces = highlighter.pieces(text)
    assert (pieces is None) == (marked is None)
    if pieces is not None:
        assert read(pieces).marked


@settings(max_examples=rounds(60, 5000), deadline=None)
@given(text=texts)
def test_a_text_is_found_by_each_of_its_words(text: str) -> None:
    """What is asked with a word of a text means that very word of the text."""
    for word in list(words.words_of(text))[:20]:
        question = parse(f'"{text[word.start : word.end]}"')
        spoken = [one for terms in question.alternatives for term in terms for one in term.words]
        assert spoken == [word.folded]


async def test_the_database_reads_every_question_and_text(shelf: Shelf, owner: Person) -> None:
    """Signs of all planes, as text and as question."""
    for first in range(0, 0x3000, 0x100):
        signs = "".join(chr(point) for point in range(first or 1, first + 0x100) if not 0xD800 <= point < 0xE000)
        await shelf.put(signs, " ".join(signs))
        answer = await ask(owner, signs[:190])
        assert answer.status_code in (200, 422), answer.text
