"""Signed statements: checked offline from the file alone, and refused once a byte of them is another."""

import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import pytest
from typer.testing import CliRunner

from pm_api.cli import app as commands
from pm_api.core import signing
from pm_api.core.crypto import KeyRing, encode_url
from pm_api.core.platform import Platform
from pm_api.core.settings import Settings
from pm_api.domains.ai_credits import statement_check, statement_form
from pm_api.domains.ai_credits.book import canonical_json
from pm_api.domains.ai_credits.commands import Capture
from pm_api.domains.ai_credits.enums import LotKind
from pm_api.domains.ai_credits.schemas.statements import StatementAnswer
from pm_api.domains.ai_credits.statement_check import NoKeys, Verdict, check, public_keys
from tests.conftest import NewPerson, Person
from tests.domains.ai_credits.story import CHAT, Story, tell
from tests.support.settings import SECRET_KEYS, environment_for

ALTERATIONS: Final = 300
OTHER_KEYS: Final = "other:" + SECRET_KEYS.partition(":")[2][::-1].lstrip("=").ljust(56, "A")


def month_of(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m}"


def next_month(month: str) -> datetime:
    return statement_form.month_bounds(month)[1]


async def statement(person: Person, month: str, **query: Any) -> bytes:
    answer = await person.client.get(f"/api/credits/statements/{month}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.content


async def refused(person: Person, month: str, **query: Any) -> tuple[int, str]:
    answer = await person.client.get(f"/api/credits/statements/{month}", params=query)
    return answer.status_code, answer.json()["code"]


def keys_of(settings: Settings) -> dict[str, bytes]:
    return public_keys(signing.public_keys(KeyRing(settings.secret_keys)))


def with_keys(platform: Platform, secret_keys: str) -> KeyRing:
    content = platform.settings.model_dump() | {"secret_keys": secret_keys}
    return KeyRing(Settings.model_validate(content).secret_keys)


def resigned(keys: KeyRing, content: dict[str, Any]) -> bytes:
    """Signed by the installation itself: what only recomputing the book can find."""
    made = signing.sign(keys, signing.CREDIT_STATEMENT, statement_form.canonical(content))
    signature = {"alg": "EdDSA", "kid": made.key_id, "value": encode_url(made.value)}
    return statement_form.canonical({"statement": content, "signature": signature})


@pytest.fixture
async def told(person: Person, platform: Platform) -> tuple[Person, Story, str]:
    """A rich month that begins with the story; what it leaves over is told in the next."""
    story = Story(platform, person.id)
    start = next_month(month_of(platform.clock.now())) + timedelta(hours=1)
    story.move_to(start)
    await tell(story)
    return person, story, month_of(start)


# --- what is stated ----------------------------------------------------------------------------------------------


async def test_a_month_of_every_command_is_signed_and_proves_offline(
    told: tuple[Person, Story, str], client: httpx.AsyncClient, platform: Platform
) -> None:
    person, story, month = told
    content = await statement(person, month)
    jwks = (await client.get("/.well-known/jwks.json")).json()
    [verdict] = check([("a.json", content)], public_keys(jwks))
    assert verdict.problems == []
    assert (verdict.month, verdict.part, verdict.parts, verdict.final) == (month, 1, 1, True)
    document = StatementAnswer.model_validate_json(content)
    assert document.signature.kid == f"credit-statement:{platform.keys.primary_id}"
    found = document.statement
    assert (found.opening.seq, found.opening.balance, len(found.opening.hash)) == (1, 10, 64)
    rows = await story.column(
        "SELECT seq FROM credit_entries WHERE account_id = :account AND seq > 1 AND created_at < :ends ORDER BY seq",
        ends=next_month(month),
    )
    assert [line.seq for line in found.lines] == rows
    assert len(rows) > 20
    assert {name: total.amount for name, total in found.totals.items()} == {
        str(kind): sum(line.amount for line in found.lines if line.type == kind)
        for kind in {line.type for line in found.lines}
    }
    hashes = await story.column(
        "SELECT encode(hash, 'hex') FROM credit_entries WHERE account_id = :account AND seq = :seq", seq=rows[-1]
    )
    assert [found.closing.hash] == hashes


async def test_a_finished_month_is_the_same_to_the_byte_and_a_running_one_is_not_final(
    told: tuple[Person, Story, str],
) -> None:
    person, story, month = told
    first = await statement(person, month)
    story.advance(days=2)
    await story.verify()
    assert await statement(person, month) == first
    running = month_of(story.clock.now())
    assert running > month
    content = await statement(person, running)
    verdicts = check([("a", first), ("b", content)], keys_of(story.platform.settings))
    assert [verdict.problems for verdict in verdicts] == [[], []]
    assert (verdicts[1].final, verdicts[1].opening) == (False, verdicts[0].closing)
    assert orjson.loads(content)["statement"]["asOf"] > orjson.loads(first)["statement"]["asOf"]


async def test_what_a_slow_host_may_still_write_keeps_a_month_open(person: Person, platform: Platform) -> None:
    story = Story(platform, person.id)
    month = month_of(platform.clock.now())
    for offset, final in ((timedelta(minutes=4), False), (timedelta(minutes=6), True)):
        story.move_to(next_month(month) + offset)
        assert orjson.loads(await statement(person, month))["statement"]["final"] is final


async def test_a_month_without_lines_has_one_empty_part(person: Person, platform: Platform) -> None:
    story = Story(platform, person.id)
    await story.spend(3)
    first = month_of(platform.clock.now())
    empty = month_of(next_month(first))
    story.move_to(next_month(first) + timedelta(days=1))
    content = await statement(person, empty)
    verdicts = check([("a", await statement(person, first)), ("b", content)], keys_of(platform.settings))
    assert [verdict.problems for verdict in verdicts] == [[], []]
    assert (verdicts[1].lines, verdicts[1].opening.balance, verdicts[1].closing.balance) == (0, 7, 7)


async def test_months_that_cannot_be_stated(person: Person, platform: Platform) -> None:
    now = platform.clock.now()
    before, after = month_of(now.replace(day=1) - timedelta(days=1)), month_of(next_month(month_of(now)))
    assert await refused(person, before) == (404, "statement_not_found")
    assert await refused(person, after) == (404, "statement_not_found")
    assert await refused(person, month_of(now), part=2) == (404, "statement_not_found")
    for bad in ("2026-13", "2026-00", "202611", "2026-1", "0000-01", "now", "2026-11-01", "2026-1１"):
        assert await refused(person, bad) == (422, "invalid_month")
    assert (await refused(person, month_of(now), part=0))[0] == 422


async def test_a_book_that_does_not_add_up_is_not_signed(told: tuple[Person, Story, str]) -> None:
    person, story, month = told
    await story.sql("UPDATE credit_entries SET description = 'x' WHERE account_id = :account AND seq = 9")
    assert await refused(person, month) == (409, "statement_unprovable")


# --- parts -------------------------------------------------------------------------------------------------------


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement_form, "LINES_A_PART", 10)


async def parts_of(person: Person, month: str) -> list[bytes]:
    first = await statement(person, month)
    count = orjson.loads(first)["statement"]["parts"]
    return [first, *[await statement(person, month, part=number) for number in range(2, count + 1)]]


@pytest.mark.usefixtures("short_parts")
async def test_the_parts_of_a_long_month_follow_each_other(told: tuple[Person, Story, str]) -> None:
    person, story, month = told
    parts = await parts_of(person, month)
    assert len(parts) >= 3
    keys = keys_of(story.platform.settings)
    named = [(f"{number}", part) for number, part in enumerate(parts, start=1)]
    verdicts = check(named, keys)
    assert [verdict.problems for verdict in verdicts] == [[]] * len(parts)
    assert all(verdict.lines == 10 for verdict in verdicts[:-1])
    swapped = [named[1], named[0], *named[2:]]
    assert not check(swapped, keys)[1].ok
    assert not check([named[0], *named[2:]], keys)[1].ok
    assert not check([named[0], named[0]], keys)[1].ok
    assert await refused(person, month, part=len(parts) + 1) == (404, "statement_not_found")


@pytest.mark.usefixtures("short_parts")
async def test_a_part_signed_under_another_number_or_from_another_book_does_not_follow(
    told: tuple[Person, Story, str], new_person: NewPerson
) -> None:
    person, story, month = told
    keys = keys_of(story.platform.settings)
    first, second, third, *_ = await parts_of(person, month)
    content = orjson.loads(third)["statement"] | {"part": 2}
    [_, verdict] = check([("1", first), ("2", resigned(story.platform.keys, content))], keys)
    assert verdict.problems == ["it does not begin where the file before it ended"]
    stranger = await new_person()
    other = await statement(stranger, month_of(story.clock.now()))
    [_, verdict] = check([("1", first), ("2", other)], keys)
    assert len(verdict.problems) == 1
    assert check([("2", second)], keys)[0].ok


# --- what is refused ---------------------------------------------------------------------------------------------


async def test_one_byte_changed_anywhere_is_refused(told: tuple[Person, Story, str]) -> None:
    person, story, month = told
    content = await statement(person, month)
    keys = keys_of(story.platform.settings)
    chance = random.Random(20)
    places = chance.sample(range(len(content)), ALTERATIONS)
    places += range(len(content) - 260, len(content))  # the signature's own bytes, every one
    for place in places:
        changed = bytearray(content)
        changed[place] = chance.choice([byte for byte in range(256) if byte != content[place]])
        [verdict] = check([("a", bytes(changed))], keys)
        if changed[place] in b"\r\n" and place == len(content) - 1:
            continue
        assert not verdict.ok, (place, content[place - 20 : place + 20])


async def test_bytes_removed_added_or_written_otherwise_are_refused(told: tuple[Person, Story, str]) -> None:
    person, story, month = told
    content = await statement(person, month)
    keys = keys_of(story.platform.settings)
    assert check([("a", content + b"\n")], keys)[0].ok
    document = orjson.loads(content)
    others = {
        "cut": content[:-1],
        "more": content + b" ",
        "pretty": orjson.dumps(document, option=orjson.OPT_INDENT_2),
        "a field more": statement_form.canonical(document | {"more": 1}),
        "nothing": b"",
        "no object": b"[]",
        "null": b"null",
        "no signature": statement_form.canonical({"statement": document["statement"]}),
        "empty": statement_form.canonical({"statement": {}, "signature": {}}),
        "not text": b"\xff\xfe",
        "deep": b"[" * 5000,
    }
    for name, other in others.items():
        assert not check([(name, other)], keys)[0].ok, name


def change_line(content: dict[str, Any], **values: Any) -> None:
    content["lines"][4].update(values)


def grant_in(content: dict[str, Any]) -> dict[str, Any]:
    line: dict[str, Any] = next(one for one in content["lines"] if one["lot"] and one["lot"]["expiresAt"])
    return line


FORGERIES: Final[dict[str, Any]] = {
    "lines in another order": lambda c: c["lines"].__setitem__(slice(3, 5), c["lines"][3:5][::-1]),
    "a line less": lambda c: c["lines"].pop(3),
    "the last line less": lambda c: c["lines"].pop(),
    "a line twice": lambda c: c["lines"].insert(3, c["lines"][3]),
    "another description": lambda c: change_line(c, description="another"),
    "another person": lambda c: change_line(c, actor={"kind": "user", "userId": None}),
    "another time": lambda c: change_line(c, createdAt="2020-01-01T00:00:00Z"),
    "another hold": lambda c: change_line(c, holdId="00000000-0000-7000-8000-000000000000"),
    "another key": lambda c: change_line(c, commandKey="s:other"),
    "a debt of nothing": lambda c: change_line(c, debtAfter=1),
    "other metadata": lambda c: change_line(c, metadata={"a": 1}),
    "another lot": lambda c: grant_in(c)["lot"].update(expiresAt=None),
    "other allocations": lambda c: grant_in(c)["allocations"][0].update(amount=1),
    "another account": lambda c: c["account"].update(id="00000000-0000-7000-8000-000000000000"),
    "another opening": lambda c: c["opening"].update(balance=11),
    "another closing": lambda c: c["closing"].update(balance=c["closing"]["balance"] + 1),
    "another closing hash": lambda c: c["closing"].update(hash="00" * 32),
    "another debt at the end": lambda c: c["closing"].update(debt=c["closing"]["debt"] + 1),
    "other totals": lambda c: c["totals"]["USAGE"].update(amount=0),
    "another month": lambda c: c.update(month="2020-01"),
    "another month with its times": lambda c: c.update(
        {"month": "2020-01", "from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"}
    ),
    "a part too many": lambda c: c.update(part=2),
    "another form": lambda c: c.update(format="pm_api credit statement 2"),
    "lines of another kind": lambda c: c.update(lines=[1]),
    "a number as text": lambda c: c["opening"].update(seq="1"),
}


@pytest.mark.parametrize("how", FORGERIES)
async def test_what_the_installation_itself_forges_and_signs_is_refused(
    told: tuple[Person, Story, str], how: str
) -> None:
    """The signature fits; the recomputed book does not."""
    person, story, month = told
    content = orjson.loads(await statement(person, month))["statement"]
    platform = story.platform
    assert check([("a", resigned(platform.keys, content))], keys_of(platform.settings))[0].ok
    FORGERIES[how](content)
    [verdict] = check([("a", resigned(platform.keys, content))], keys_of(platform.settings))
    assert not verdict.ok
    assert "the signature does not fit" not in " ".join(verdict.problems)


# --- keys --------------------------------------------------------------------------------------------------------


async def test_keys_roll_and_a_wrong_one_is_refused(told: tuple[Person, Story, str]) -> None:
    person, story, month = told
    platform = story.platform
    content = await statement(person, month)
    rolled = with_keys(platform, f"{OTHER_KEYS},{SECRET_KEYS}")
    assert rolled.primary_id == "other"
    after = public_keys(signing.public_keys(rolled))
    assert check([("a", content)], after)[0].ok
    again = resigned(rolled, orjson.loads(content)["statement"])
    assert check([("a", content), ("b", again)], after)[0].ok
    assert check([("b", again)], after)[0].signed_by == "credit-statement:other"
    only_new = public_keys(signing.public_keys(with_keys(platform, OTHER_KEYS)))
    assert "not known here" in check([("a", content)], only_new)[0].problems[0]
    impostor = {"credit-statement:test": only_new["credit-statement:other"]}
    assert "does not fit" in check([("a", content)], impostor)[0].problems[0]


async def test_a_key_of_access_tokens_signs_no_statement(client: httpx.AsyncClient) -> None:
    jwks = (await client.get("/.well-known/jwks.json")).json()
    assert {key["kid"] for key in jwks["keys"]} == {"test", "credit-statement:test"}
    assert len({key["x"] for key in jwks["keys"]}) == 2
    assert set(public_keys(jwks)) == {"credit-statement:test"}
    tokens = {"keys": [key for key in jwks["keys"] if key["kid"] == "test"]}
    others: list[Any] = [{"keys": []}, {}, {"keys": [1]}, [{"kid": "credit-statement:x", "kty": "OKP"}], 7]
    for bad in (tokens, *others):
        with pytest.raises(NoKeys):
            public_keys(bad)


# --- the command -------------------------------------------------------------------------------------------------


def run(*arguments: object, keys: str = SECRET_KEYS) -> tuple[int, str]:
    result = CliRunner().invoke(
        commands,
        ["credits", "check-statement", *map(str, arguments)],
        env=environment_for("postgresql://nowhere.invalid/none", PM_SECRET_KEYS=keys),
    )
    return result.exit_code, result.output


async def test_the_command_needs_neither_database_nor_network(
    told: tuple[Person, Story, str], client: httpx.AsyncClient, tmp_path: Path
) -> None:
    person, _, month = told
    good, bad, jwks = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "jwks.json"
    content = await statement(person, month)
    good.write_bytes(content)
    bad.write_bytes(content.replace(b"A grant of the story", b"A grant of the Story", 1))
    jwks.write_bytes((await client.get("/.well-known/jwks.json")).content)
    code, told_by_it = run(good)
    assert (code, told_by_it.startswith("GOOD")) == (0, True)
    assert f"{month}, part 1 of 1 (final)" in told_by_it
    assert run(good, "--keys", jwks, keys=OTHER_KEYS)[0] == 0
    assert run(good, keys=OTHER_KEYS)[0] == 1
    code, told_by_it = run(bad)
    assert (code, told_by_it.startswith("REFUSED")) == (1, True)
    assert run(good, bad)[0] == 1
    assert run(tmp_path / "nowhere.json")[0] == 1
    assert run(good, "--keys", good)[0] == 1


def test_the_checker_imports_neither_the_web_nor_the_database() -> None:
    program = (
        "import sys, pm_api.domains.ai_credits.statement_check\n"
        "found = {name.partition('.')[0] for name in sys.modules} & {'sqlalchemy', 'asyncpg', 'fastapi', 'starlette',"
        " 'httpx', 'pydantic', 'uvicorn'}\n"
        "sys.exit(', '.join(sorted(found)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_verdict_tells_at_most_so_many_problems() -> None:
    verdict = Verdict("a")
    for number in range(100):
        verdict.complain(f"{number}")
    assert len(verdict.problems) == statement_check.MAX_PROBLEMS


# --- pools -------------------------------------------------------------------------------------------------------


async def test_a_capture_and_a_limited_lot_are_stated_like_any_line(person: Person, platform: Platform) -> None:
    story = Story(platform, person.id)
    await story.grant(story.lot(LotKind.PURCHASE, 5, service=CHAT))
    hold = await story.hold(7, service=CHAT, quantity=3, price_version=1)
    await story.do(Capture, hold_id=hold, details=canonical_json({"n": 1e22, "z": -0.0, "t": "ü\x1f"}))
    content = await statement(person, month_of(platform.clock.now()))
    [verdict] = check([("a", content)], keys_of(platform.settings))
    assert verdict.problems == []
    [line] = [one for one in orjson.loads(content)["statement"]["lines"] if one["type"] == "USAGE"]
    assert (line["holdId"], line["metadata"]["n"], len(line["allocations"])) == (str(hold), 1e22, 2)
