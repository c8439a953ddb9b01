"""Keys that order a column: between any two there is room for a third. Pure.

A key is a whole number of variable length and a fraction, in digits whose byte order is their order; after Figma's
and rocicorp's fractional indexing. Adding at an end counts the number up; adding in between makes the fraction longer
by a digit about every sixth time at one spot, so now and then a stretch of a column is written anew (`spread`).
"""

from typing import Final

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FIRST: Final = "a0"
LONGEST: Final = 64
ROOMY: Final = 40
"""What is written anew must be shorter than this, or it would soon be too long again."""
_SMALLEST: Final = "A" + "0" * 26
_VALUE: Final = {digit: value for value, digit in enumerate(DIGITS)}


def between(low: str | None, high: str | None) -> str:
    """A key above `low` and below `high`, where None is the end; raises ValueError when there is nothing between."""
    if low is not None and high is not None and low >= high:
        raise ValueError(f"nothing lies between {low!r} and {high!r}")
    if low is None:
        return FIRST if high is None else _below(high)
    whole = _whole(low)
    following = _counted_up(whole)
    if high is not None and _whole(high) == whole:
        return whole + _middle(low[len(whole) :], high[len(whole) :])
    if following is not None and (high is None or following < high):
        return following
    return whole + _middle(low[len(whole) :], None)


def spread(low: str | None, high: str | None, count: int) -> list[str]:
    """So many keys between two, in order and short."""
    if count == 0:
        return []
    if high is None:
        found = []
        for _ in range(count):
            low = between(low, None)
            found.append(low)
        return found
    middle = between(low, high)
    below = count // 2
    return [*spread(low, middle, below), middle, *spread(middle, high, count - below - 1)]


def _below(high: str) -> str:
    whole = _whole(high)
    if whole == _SMALLEST:
        return whole + _middle("", high[len(whole) :])
    if whole < high:
        return whole
    counted = _counted_down(whole)
    return counted if counted != _SMALLEST else counted + DIGITS[len(DIGITS) // 2]


def _whole(key: str) -> str:
    """The number at the beginning of a key; its first letter says how long it is."""
    head = key[:1]
    if "a" <= head <= "z":
        length = ord(head) - ord("a") + 2
    elif "A" <= head <= "Z":
        length = ord("Z") - ord(head) + 2
    else:
        raise ValueError(f"not a key: {key!r}")
    if len(key) < length:
        raise ValueError(f"not a key: {key!r}")
    return key[:length]


def _counted_up(whole: str) -> str | None:
    head, digits = whole[0], list(whole[1:])
    for place in reversed(range(len(digits))):
        value = _VALUE[digits[place]] + 1
        if value < len(DIGITS):
            digits[place] = DIGITS[value]
            return head + "".join(digits)
        digits[place] = DIGITS[0]
    if head == "z":
        return None
    if head == "Z":
        return FIRST
    longer = chr(ord(head) + 1)
    return longer + DIGITS[0] * (len(digits) + (1 if longer > "a" else -1))


def _counted_down(whole: str) -> str:
    head, digits = whole[0], list(whole[1:])
    for place in reversed(range(len(digits))):
        value = _VALUE[digits[place]] - 1
        if value >= 0:
            digits[place] = DIGITS[value]
            return head + "".join(digits)
        digits[place] = DIGITS[-1]
    if head == "a":
        return "Z" + DIGITS[-1]
    shorter = chr(ord(head) - 1)
    return shorter + DIGITS[-1] * (len(digits) + (1 if shorter < "Z" else -1))


def _middle(low: str, high: str | None) -> str:
    """A fraction between two that do not end in a zero; None is one."""
    if high is not None:
        shared = 0
        while shared < len(high) and (low[shared : shared + 1] or DIGITS[0]) == high[shared]:
            shared += 1
        if shared:
            return high[:shared] + _middle(low[shared:], high[shared:])
    least = _VALUE[low[0]] if low else 0
    most = _VALUE[high[0]] if high is not None else len(DIGITS)
    if most - least > 1:
        return DIGITS[(least + most + 1) // 2]
    if high is not None and len(high) > 1:
        return high[0]
    return DIGITS[least] + _middle(low[1:], None)
