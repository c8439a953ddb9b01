"""Names of files: whatever somebody calls one, what is kept is one safe name, and no header breaks by it."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pm_api.domains.storage.naming import LONGEST_BYTES, clean_name, disposition, distinct, is_clean


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("plan.pdf", "plan.pdf"),
        ("  plan.pdf  ", "plan.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\win.ini", "win.ini"),
        ("C:\\Users\\me\\plan.pdf", "plan.pdf"),
        ("/etc/shadow", "shadow"),
        ("a\u2215b\uff0fc.txt", "c.txt"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        ("///", "file"),
        ("\u200b", "file"),
        ("plan.pdf\x00.exe", "plan.pdf.exe"),
        ("\x00", "file"),
        ("photo\u202egnp.exe", "photognp.exe"),
        ("\u2066plan\u2069.pdf", "plan.pdf"),
        ("plan\U000e0041.pdf", "plan.pdf"),
        ('a"b.txt', "a_b.txt"),
        ("a\r\nSet-Cookie: x=y.txt", "a Set-Cookie_ x=y.txt"),
        ("line\u2028break.txt", "line break.txt"),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("console.log", "console.log"),
        ("plan.", "plan"),
        ("cafe\u0301.txt", "café.txt"),
        ("\ud800.txt", ".txt"),
        (".env", ".env"),
        ("日本語.pdf", "日本語.pdf"),
    ],
)
def test_what_is_kept_of_a_name(raw: str, kept: str) -> None:
    assert clean_name(raw) == kept
    assert is_clean(kept)


def test_a_long_name_is_cut_between_letters_and_keeps_its_extension() -> None:
    for letter in ("x", "é", "日", "👍🏽", "👩‍👩‍👧", "e\u0301"):
        cut = clean_name(letter * 300 + ".pdf")
        assert cut.endswith(".pdf")
        assert len(cut.encode()) <= LONGEST_BYTES
        assert len(cut.encode()) > LONGEST_BYTES - 60
        assert not cut.removesuffix(".pdf").endswith("\u200d")
    assert len(clean_name("x" + "." + "y" * 400).encode()) <= LONGEST_BYTES


@given(st.text(max_size=600))
@example("\x00" * 300)
@example("/" * 300)
@example("a" * 250 + "\u0301" * 20)
@example("." * 300)
@example("\u0301" * 300)
def test_whatever_is_given_one_safe_name_is_kept(raw: str) -> None:
    kept = clean_name(raw)
    assert clean_name(kept) == kept, "what is safe stays as it is"
    assert 0 < len(kept.encode()) <= LONGEST_BYTES
    assert kept not in (".", "..")
    assert not {"/", "\\", "\x00", "\r", "\n", '"'} & set(kept)
    assert not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in kept)


@given(st.text(max_size=400), st.booleans())
@example('a"; filename="b.exe', False)
@example("a\r\nX-Injected: yes\r\n\r\n<html>", False)
@example("a%00b%0d%0a", True)
def test_no_name_ends_a_header_or_a_quoted_text(name: str, inline: bool) -> None:
    said = disposition(name, inline=inline)
    assert said.isascii()
    assert said.isprintable()
    assert said.startswith("inline; " if inline else "attachment; ")
    quoted = said.split("; ", 1)[1]
    assert quoted.startswith('filename="')
    assert quoted.count('"') == 2, "nothing in the name closes the quotes"
    assert "\\" not in said
    rest = quoted.split('"')[2]
    assert rest == "" or rest.startswith("; filename*=UTF-8''")
    assert ";" not in rest.removeprefix("; ")


def test_a_name_is_told_in_ascii_and_as_it_is() -> None:
    assert disposition("plan.pdf", inline=False) == 'attachment; filename="plan.pdf"'
    assert (
        disposition("café €.pdf", inline=False)
        == "attachment; filename=\"cafe _.pdf\"; filename*=UTF-8''caf%C3%A9%20%E2%82%AC.pdf"
    )


def test_names_of_one_archive_are_distinct_also_where_case_does_not_count() -> None:
    told = distinct(["a.txt", "A.TXT", "a.txt", "a (2).txt", "b", "b"])
    assert told == ["a.txt", "A (2).TXT", "a (3).txt", "a (2) (2).txt", "b", "b (2)"]


def test_a_thousand_names_that_collide() -> None:
    told = distinct(["x" * 251 + ".txt"] * 1000)
    assert len({one.casefold() for one in told}) == 1000
    assert all(len(one.encode()) <= LONGEST_BYTES for one in told)
    assert all(is_clean(one) for one in told)


@given(st.lists(st.sampled_from(["a", "A", "a (2)", "A (2)", "a (3)", "ß", "SS", "e\u0301", "é"]), max_size=60))
def test_no_two_names_are_ever_one(names: list[str]) -> None:
    told = distinct(names)
    assert len({unicodedata.normalize("NFC", one.casefold()) for one in told}) == len(names)
