"""The secret box and the keys behind it."""

import base64

import pytest
from pydantic import SecretStr

from pm_api.core.crypto import KeyRing, SealBroken
from pm_api.core.settings import SecretKey


def key(identifier: str) -> SecretKey:
    return SecretKey(id=identifier, value=SecretStr(base64.b64encode(identifier.encode() * 32).decode()))


OLD, NEW = key("old"), key("new")


def test_what_was_sealed_opens_again_and_never_looks_the_same() -> None:
    ring = KeyRing((NEW,))
    first, second = (ring.seal("purpose", b"a secret", b"row 1") for _ in range(2))
    assert first != second
    assert b"a secret" not in first
    assert ring.open("purpose", first, b"row 1") == ring.open("purpose", second, b"row 1") == b"a secret"


@pytest.mark.parametrize("position", range(0, 40, 3))
def test_one_altered_byte_breaks_the_seal(position: int) -> None:
    ring = KeyRing((NEW,))
    sealed = bytearray(ring.seal("purpose", b"a secret", b"row 1"))
    sealed[position % len(sealed)] ^= 1
    with pytest.raises(SealBroken):
        ring.open("purpose", bytes(sealed), b"row 1")


def test_a_seal_is_bound_to_its_purpose_and_its_row() -> None:
    ring = KeyRing((NEW,))
    sealed = ring.seal("purpose", b"a secret", b"row 1")
    for purpose, context in (("another", b"row 1"), ("purpose", b"row 2")):
        with pytest.raises(SealBroken):
            ring.open(purpose, sealed, context)
    for garbage in (b"", b"\x03", b"\xff" * 50):
        with pytest.raises(SealBroken):
            ring.open("purpose", garbage, b"row 1")


def test_keys_roll() -> None:
    sealed, signature = KeyRing((OLD,)).seal("purpose", b"a secret"), KeyRing((OLD,)).sign("purpose", b"text")
    rolled = KeyRing((NEW, OLD))
    assert rolled.open("purpose", sealed) == b"a secret"
    assert rolled.verify("purpose", b"text", signature)
    assert rolled.seal("purpose", b"x")[1:4] == b"new"
    with pytest.raises(SealBroken):
        KeyRing((NEW,)).open("purpose", sealed)
    assert not KeyRing((NEW,)).verify("purpose", b"text", signature)
