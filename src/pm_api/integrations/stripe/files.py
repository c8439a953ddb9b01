"""Files that Stripe keeps for us, piece by piece, within limits of size and time."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Final

import httpx
import structlog

from pm_api.integrations.stripe import invoices
from pm_api.integrations.stripe.door import PaymentProviderUnavailable, StripeDoor

MAX_BYTES: Final = 20 * 1024 * 1024
MAX_S: Final = 60.0
PIECE_TIMEOUT_S: Final = 10.0
MAX_REDIRECTS: Final = 3
STRIPES: Final = re.compile(r"([a-z0-9-]+\.)+stripe\.com")
# Where Stripe sends whoever asks for a file: a bucket of its own.
STRIPES_STORE: Final = re.compile(r"([a-z0-9-]+\.)*s3[a-z0-9-]*\.([a-z0-9-]+\.)*amazonaws\.com")
PDF_BEGINS: Final = b"%PDF-"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StripeFile:
    """`pieces` may end early with an error: the file is then not whole. `size` is what was announced."""

    size: int | None
    pieces: AsyncIterator[bytes]


@asynccontextmanager
async def open_invoice_pdf(door: StripeDoor, invoice_id: str) -> AsyncIterator[StripeFile | None]:
    """An invoice's PDF from its beginning; None: there is none (yet). Raises StripeObjectMissing, and
    PaymentProviderUnavailable for whatever else is not a PDF of reasonable size.
    """
    address = await invoices.pdf_url(door, invoice_id)
    if address is None:
        yield None
        return
    async with AsyncExitStack() as stack:
        try:
            deadline = asyncio.get_running_loop().time() + MAX_S
            response = await stack.enter_async_context(_asked(door, address))
            pieces = response.aiter_bytes()
            first = await anext(pieces, b"")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _not_to_be_had(invoice_id, type(error).__name__) from error
        size = _announced(response)
        if response.status_code != 200 or not first.startswith(PDF_BEGINS):
            raise _not_to_be_had(invoice_id, f"status {response.status_code}")
        if size is not None and size > MAX_BYTES:
            raise _not_to_be_had(invoice_id, f"{size} bytes")
        yield StripeFile(size, _limited(first, pieces, deadline))


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes longer than most answers, and nothing else runs meanwhile."""
    return httpx.create_ssl_context(trust_env=False)


@asynccontextmanager
async def _asked(door: StripeDoor, address: str) -> AsyncIterator[httpx.Response]:
    """The address is as good as a key: it stays out of the log and of errors. Nobody but Stripe, or what stands in
    for it, is asked, whatever an invoice or a redirection says: from here other machines can be reached than from
    outside.
    """

    async def check(request: httpx.Request) -> None:
        url = request.url
        is_stand_in = bool(door.stand_in) and _origin(url) == _origin(httpx.URL(door.stand_in))
        if not (is_stand_in or _is_at(url, STRIPES) or _is_at(url, STRIPES_STORE)):
            raise httpx.InvalidURL("not an address of Stripe's")

    async with (
        httpx.AsyncClient(
            verify=_tls(),
            timeout=httpx.Timeout(PIECE_TIMEOUT_S),
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            trust_env=False,
            event_hooks={"request": [check]},
        ) as client,
        client.stream("GET", _first_asked(door, address)) as response,
    ):
        yield response


def _first_asked(door: StripeDoor, address: str) -> httpx.URL:
    """Where Stripe's invoice says; at a stand-in its path alone counts, for people may reach it by another name."""
    url = httpx.URL(address)
    if _is_at(url, STRIPES):
        return url
    if not door.stand_in:
        raise httpx.InvalidURL("not an address of Stripe's")
    return httpx.URL(door.stand_in).copy_with(raw_path=url.raw_path)


def _is_at(url: httpx.URL, hosts: re.Pattern[str]) -> bool:
    return url.scheme == "https" and url.port is None and hosts.fullmatch(url.host) is not None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _announced(response: httpx.Response) -> int | None:
    told = response.headers.get("content-length", "")
    encoded = response.headers.get("content-encoding", "identity") != "identity"
    return int(told) if told.isdecimal() and len(told) < 19 and not encoded else None


async def _limited(first: bytes, pieces: AsyncIterator[bytes], deadline: float) -> AsyncIterator[bytes]:
    sent = len(first)
    yield first
    async with asyncio.timeout_at(deadline):
        async for piece in pieces:
            sent += len(piece)
            if sent > MAX_BYTES:
                raise PaymentProviderUnavailable("The file is larger than anybody's invoice.")
            yield piece


def _not_to_be_had(invoice_id: str, why: str) -> PaymentProviderUnavailable:
    _log.warning("stripe_file_unavailable", invoice=invoice_id, problem=why)
    return PaymentProviderUnavailable("The file cannot be had from the payment provider just now.")
