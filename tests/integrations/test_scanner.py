"""The door to clamd: what is not plainly clean is not clean."""

from collections.abc import AsyncIterator

import pytest

from pm_api.core.settings_scanner import ClamdSettings, address_of
from pm_api.integrations.scanner import Outcome, ScannerDoor, ScannerUnavailable, Verdict, read_verdict
from tests.support.clamds import EICAR, ClamdDouble, Manner, clamd_double
from tests.support.processes import free_port

PIECE = b"x" * 300_000


@pytest.fixture
async def double() -> AsyncIterator[ClamdDouble]:
    async with clamd_double() as running:
        yield running


def door_to(url: str, **settings: object) -> ScannerDoor:
    return ScannerDoor(ClamdSettings.model_validate({"url": url, "timeout_s": 1.5, **settings}))


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for one in content:
        yield one


async def test_the_bytes_arrive_whole_and_the_verdict_is_told(double: ClamdDouble) -> None:
    door = door_to(double.url)
    assert await door.scan(pieces(PIECE, b"", b"end"), 300_003) == Verdict(Outcome.CLEAN)
    assert double.seen == [PIECE + b"end"]
    assert await door.scan(pieces(b"so ", EICAR), 71) == Verdict(Outcome.INFECTED, "Eicar-Test-Signature")
    assert await door.scan(pieces(), 0) == Verdict(Outcome.CLEAN)


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        (Manner.SILENT, "no answer in time"),
        (Manner.DEAF, "in time|no more bytes"),
        (Manner.GARBAGE, "0K"),
        (Manner.EARLY, "before it had read"),
        (Manner.HANGS_UP, "hung up|broke off"),
    ],
)
async def test_no_verdict_is_none(double: ClamdDouble, manner: Manner, reason: str) -> None:
    double.manner = manner
    with pytest.raises(ScannerUnavailable, match=reason):
        await door_to(double.url).scan(pieces(*[PIECE] * 20), 6_000_000)


async def test_a_stream_that_it_refuses_is_too_large_and_not_clean(double: ClamdDouble) -> None:
    double.manner = Manner.TOO_LARGE
    assert await door_to(double.url).scan(pieces(*[PIECE] * 20), 6_000_000) == Verdict(Outcome.TOO_LARGE)


async def test_what_it_would_not_read_is_not_even_sent(double: ClamdDouble) -> None:
    door = door_to(double.url, max_bytes=10)
    assert await door.scan(pieces(b"x" * 11), 11) == Verdict(Outcome.TOO_LARGE)
    assert double.seen == []
    assert await door.scan(pieces(b"x" * 10), 10) == Verdict(Outcome.CLEAN)


async def test_nobody_there() -> None:
    with pytest.raises(ScannerUnavailable, match="no connection"):
        await door_to(f"tcp://127.0.0.1:{free_port()}").scan(pieces(b"x"), 1)
    with pytest.raises(ScannerUnavailable, match="no connection"):
        await door_to("unix:/nowhere/clamd.ctl").scan(pieces(b"x"), 1)


async def test_what_reading_the_bytes_raises_goes_on(double: ClamdDouble) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("gone")

    with pytest.raises(LookupError):
        await door_to(double.url).scan(broken(), 2)
    assert double.seen == []


async def test_the_probe_wants_the_test_file_found(double: ClamdDouble) -> None:
    assert await door_to(double.url).probe() == "ClamAV 1.4.6 finds the test file"
    double.manner = Manner.GARBAGE
    with pytest.raises(ScannerUnavailable):
        await door_to(double.url).probe()


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("stream: OK", Verdict(Outcome.CLEAN)),
        ("stream: Win.Test.EICAR_HDB-1 FOUND", Verdict(Outcome.INFECTED, "Win.Test.EICAR_HDB-1")),
        (
            "stream: Eicar(44d88612fea8a8f36de82e1278abb02f:68) FOUND",
            Verdict(Outcome.INFECTED, "Eicar"),
        ),
        ("stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND", Verdict(Outcome.TOO_LARGE)),
        ("INSTREAM size limit exceeded. ERROR", Verdict(Outcome.TOO_LARGE)),
    ],
)
def test_answers(answer: str, verdict: Verdict) -> None:
    assert read_verdict(answer) == verdict


@pytest.mark.parametrize(
    "answer", ["", "OK", "stream: OK FOUND?", "stream: not OK", "COMMAND READ TIMED OUT", "UNKNOWN"]
)
def test_answers_that_are_none(answer: str) -> None:
    with pytest.raises(ScannerUnavailable):
        read_verdict(answer)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("tcp://clamd:3311", ("clamd", 3311)),
        ("tcp://clamd", ("clamd", 3310)),
        ("unix:/run/clamav/clamd.ctl", "/run/clamav/clamd.ctl"),
        ("unix:///run/clamav/clamd.ctl", "/run/clamav/clamd.ctl"),
        ("tcp://", None),
        ("tcp://clamd:99999", None),
        ("unix:relative", None),
        ("http://clamd:3310", None),
    ],
)
def test_addresses(url: str, address: object) -> None:
    assert address_of(url) == address
