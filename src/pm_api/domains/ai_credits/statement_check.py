"""Checking credit statements with nothing but the files and the installation's public keys: no database, no network.

The signature is over the whole statement in canonical JSON. Each line carries all that its hash covers, so the book
is recomputed line by line from the opening figures to the closing ones, and from one part to the next.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pm_api.domains.ai_credits.lines import Position, follow
from pm_api.domains.ai_credits.statement_form import (
    FORMAT,
    LINES_A_PART,
    canonical,
    line_of,
    month_bounds,
    position_of,
    time_form,
    totals_form,
)

KEY_PREFIX: Final = "credit-statement:"
ALGORITHM: Final = "EdDSA"
MAX_PROBLEMS: Final = 20
_SHAPE_ERRORS: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


class NoKeys(Exception):
    """The key file is not a JWKS, or holds no key of statements."""


@dataclass
class Verdict:
    """What one file is, as far as it could be read, and what is wrong with it."""

    name: str
    problems: list[str] = field(default_factory=list)
    account_id: str = ""
    month: str = ""
    part: int = 0
    parts: int = 0
    final: bool = False
    lines: int = 0
    signed_by: str = ""
    opening: Position = field(default_factory=Position)
    closing: Position = field(default_factory=Position)

    @property
    def ok(self) -> bool:
        return not self.problems

    def complain(self, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)

    def told(self) -> str:
        """A few lines for a person."""
        if not self.ok:
            return "\n".join([f"REFUSED  {self.name}", *(f"         - {text}" for text in self.problems)])
        state = "final" if self.final else "provisional: the month was not over"
        opening, closing = self.opening, self.closing
        numbers = f"lines {opening.seq + 1} to {closing.seq}" if self.lines else "no lines"
        debt = f", debt {opening.debt} -> {closing.debt}" if opening.debt or closing.debt else ""
        return "\n".join(
            [
                f"GOOD     {self.name}",
                f"         account {self.account_id}, {self.month}, part {self.part} of {self.parts} ({state})",
                f"         {numbers}; balance {opening.balance} -> {closing.balance}{debt}",
                f"         signed by {self.signed_by}; closing hash {closing.hash.hex() or '(none)'}",
            ]
        )


def check(files: Iterable[tuple[str, bytes]], keys: Mapping[str, bytes]) -> list[Verdict]:
    """Check (name, content) of each file by itself, and that each goes on where the one before it ended."""
    verdicts: list[Verdict] = []
    for name, content in files:
        verdict = _check_one(name, content, keys)
        if verdict.ok and verdicts and verdicts[-1].ok:
            _continue(verdicts[-1], verdict)
        verdicts.append(verdict)
    return verdicts


def public_keys(jwks: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """The keys of statements in a saved `/.well-known/jwks.json`; raises NoKeys."""
    try:
        listed = jwks["keys"] if isinstance(jwks, Mapping) else jwks
        found = {
            one["kid"]: decode_base64url(one["x"])
            for one in listed
            if one.get("kty") == "OKP" and one.get("crv") == "Ed25519" and one["kid"].startswith(KEY_PREFIX)
        }
    except _SHAPE_ERRORS as error:
        raise NoKeys("this is not a JSON Web Key Set") from error
    if not found:
        raise NoKeys("there is no key of credit statements in it")
    return found


def decode_base64url(text: str) -> bytes:
    """Raises ValueError, also for the spellings that decode to the same bytes as the proper one."""
    decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != text:
        raise ValueError("not the one spelling of these bytes")
    return decoded


def _check_one(name: str, content: bytes, keys: Mapping[str, bytes]) -> Verdict:
    verdict = Verdict(name)
    try:
        document = orjson.loads(content)
    except ValueError:
        verdict.complain("this is not JSON")
        return verdict
    try:
        _check_signature(verdict, document, content, keys)
        if verdict.ok:
            _check_statement(verdict, document["statement"])
    except _SHAPE_ERRORS:
        verdict.complain("this is not a credit statement: something in it is missing or of another kind")
    return verdict


def _check_signature(verdict: Verdict, document: Any, content: bytes, keys: Mapping[str, bytes]) -> None:
    # A spelling of our own would let two files that differ both be the signed one.
    if canonical(document) != content.rstrip(b"\r\n"):
        verdict.complain("the file is not as it was downloaded: it was changed, or another program wrote it anew")
    if set(document) != {"statement", "signature"} or set(document["signature"]) != {"alg", "kid", "value"}:
        verdict.complain("there is more or less in the file than a statement and its signature")
        return
    signature = document["signature"]
    verdict.signed_by = str(signature["kid"])
    if signature["alg"] != ALGORITHM:
        verdict.complain(f"statements are signed with {ALGORITHM}, this one with {signature['alg']}")
        return
    key = keys.get(verdict.signed_by)
    if key is None:
        verdict.complain(f"it is signed by {verdict.signed_by}, a key that is not known here")
        return
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(
            decode_base64url(signature["value"]), canonical(document["statement"])
        )
    except (InvalidSignature, ValueError):
        verdict.complain("the signature does not fit: the statement was altered, or signed by somebody else")


def _check_statement(verdict: Verdict, statement: Mapping[str, Any]) -> None:
    if statement["format"] != FORMAT:
        verdict.complain(f"this program knows the form {FORMAT!r}, the statement has {statement['format']!r}")
        return
    verdict.account_id, verdict.month = str(UUID(statement["account"]["id"])), statement["month"]
    verdict.part, verdict.parts, verdict.final = statement["part"], statement["parts"], statement["final"]
    verdict.opening, verdict.closing = position_of(statement["opening"]), position_of(statement["closing"])
    verdict.lines = len(statement["lines"])
    begins, ends = month_bounds(verdict.month)
    if (statement["from"], statement["to"]) != (time_form(begins), time_form(ends)):
        verdict.complain("its times are not those of its month")
    if not 1 <= verdict.part <= verdict.parts or verdict.lines > LINES_A_PART:
        verdict.complain("its parts cannot be counted so")
    position = verdict.opening
    entries = []
    for form in statement["lines"]:
        entry, made = line_of(UUID(verdict.account_id), form)
        position, problems = follow(position, entry, made)
        for text in problems:
            verdict.complain(text)
        if not begins <= entry.created_at < ends:
            verdict.complain(f"line {entry.seq} is not of {verdict.month}")
        entries.append(entry)
    if (position.seq, position.balance, position.debt, position.hash) != (
        *(verdict.closing.seq, verdict.closing.balance),
        *(verdict.closing.debt, verdict.closing.hash),
    ):
        verdict.complain("the lines do not lead from the opening figures to the closing ones")
    if statement["totals"] != totals_form(entries):
        verdict.complain("the totals are not those of the lines")


def _continue(before: Verdict, verdict: Verdict) -> None:
    """Two files in a row: the second begins exactly where the first ended."""
    if before.account_id != verdict.account_id:
        verdict.complain("it is of another account than the file before it: check them apart")
        return
    if (before.month, before.part + 1) == (verdict.month, verdict.part):
        if before.parts != verdict.parts:
            verdict.complain(f"the part before it is of {before.parts}, this one is of {verdict.parts}")
    elif not (before.part == before.parts and verdict.part == 1 and _follows(before.month, verdict.month)):
        verdict.complain(
            f"part {verdict.part} of {verdict.month} does not come after part {before.part} of {before.month}"
        )
    closing, opening = before.closing, verdict.opening
    if (closing.seq, closing.balance, closing.debt, closing.hash) != (
        *(opening.seq, opening.balance),
        *(opening.debt, opening.hash),
    ):
        verdict.complain("it does not begin where the file before it ended")


def _follows(before: str, after: str) -> bool:
    return month_bounds(before)[1] == month_bounds(after)[0]
