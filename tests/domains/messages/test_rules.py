"""What is an emoji, and what a counter shows."""

import pytest

from pm_api.core.emoji import is_emoji
from pm_api.domains.messages.rules import COUNTED, EXAMINED, shown_count

ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
PICTURES = ("👍", "👍🏽", "❤️", "❤", "🇩🇪", "👩‍💻", "🏳️‍🌈", "1️⃣", "#⃣", "‼️", "➡️", "©️", ENGLAND)
ALONE = ("\u202e👍", "\u200d", "\ufe0f", "🏽", "x\u20e3", "1\u20e3x")
OTHERS = ("", " ", "a", "1", "^", "=", "👍a", "👍 ", "<b>", "👍\x00", "👍" * 17, *ALONE)


@pytest.mark.parametrize("text", PICTURES)
def test_pictures_are_emoji(text: str) -> None:
    assert is_emoji(text)


@pytest.mark.parametrize("text", OTHERS)
def test_other_texts_are_none(text: str) -> None:
    assert not is_emoji(text)


@pytest.mark.parametrize(
    ("found", "behind", "shown"),
    [
        (0, 0, (0, False)),
        (5, 9, (5, False)),
        (COUNTED, COUNTED, (COUNTED, False)),
        (COUNTED + 1, COUNTED + 1, (COUNTED, True)),
        (3, EXAMINED, (3, False)),
        (3, EXAMINED + 1, (3, True)),
    ],
)
def test_a_counter_says_when_there_are_more(found: int, behind: int, shown: tuple[int, bool]) -> None:
    assert shown_count(found, behind) == shown
