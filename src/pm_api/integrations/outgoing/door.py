"""The door itself: a line to one target, to the address that was looked at when it was opened."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from pm_api.core.settings import WebhookSettings
from pm_api.integrations.outgoing.addresses import (
    Address,
    Target,
    check_address,
    check_url,
    parse_address,
    parse_networks,
)

PARALLEL: Final = 10
SHOWN_BYTES: Final = 1024
USER_AGENT: Final = "pm_api-webhooks/1"

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class TargetUnreachable(Exception):
    """Nobody answered; `reason` says in a word or two why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OutgoingAnswer:
    """What came back: the status, how long it took, its first bytes, and how long we are asked to wait."""

    status: int
    duration_ms: int
    start: bytes
    retry_after_s: int | None


async def resolve(host: str, port: int) -> Sequence[str]:
    """Every address of a name, as the system knows it; raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class OutgoingLine:
    """Open to one target. The name is asked for no more, so nobody can point it elsewhere meanwhile."""

    def __init__(self, client: httpx.AsyncClient, target: Target, address: Address, timeout_s: float) -> None:
        self._client = client
        self._target = target
        self._timeout_s = timeout_s
        host = f"[{address}]" if address.version == 6 else str(address)
        self._url = f"{target.scheme}://{host}:{target.port}{target.path}"

    async def post(self, headers: Mapping[str, str], body: bytes) -> OutgoingAnswer:
        """Send and read the beginning of the answer; raises TargetUnreachable."""
        began = time.monotonic()
        request = self._client.build_request(
            "POST",
            self._url,
            content=body,
            headers={
                **headers,
                "Host": self._target.authority,
                "User-Agent": USER_AGENT,
                "Accept": "*/*",
                "Accept-Encoding": "identity",
            },
            # The certificate is that of the name, although an address is called.
            extensions={"sni_hostname": self._target.host},
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.send(request, stream=True)
                try:
                    start = await _beginning(response)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            raise TargetUnreachable(f"no answer within {self._timeout_s:g} s") from None
        except ssl.SSLError as error:
            raise TargetUnreachable(_of_tls(error)) from None
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise TargetUnreachable(_reason(error)) from None
        return OutgoingAnswer(
            status=response.status_code,
            duration_ms=_milliseconds(began),
            start=start,
            retry_after_s=_seconds(response.headers.get("retry-after")),
        )


async def _beginning(response: httpx.Response) -> bytes:
    start = b""
    async for chunk in response.aiter_raw():
        start += chunk
        if len(start) >= SHOWN_BYTES:
            break
    return start[:SHOWN_BYTES]


class OutgoingDoor:
    """Opens lines to targets on the public internet, and to what the operator allows."""

    def __init__(
        self, settings: WebhookSettings, *, resolve: Resolve = resolve, tls: ssl.SSLContext | None = None
    ) -> None:
        self.timeout_s = settings.timeout_s
        self.allowed = parse_networks(settings.allow_networks)
        self._resolve = resolve
        self._tls = tls

    def check(self, url: str) -> None:
        """What can be said of an address without a network; raises TargetRefused."""
        check_url(url, self.allowed)

    @asynccontextmanager
    async def line(self, url: str) -> AsyncIterator[OutgoingLine]:
        """A line to the target for a few requests; raises TargetRefused and TargetUnreachable."""
        target = check_url(url, self.allowed)
        address = await self._address_of(target)
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        limits = httpx.Limits(max_connections=PARALLEL, max_keepalive_connections=PARALLEL)
        async with httpx.AsyncClient(
            verify=self._tls, trust_env=False, follow_redirects=False, timeout=self.timeout_s, limits=limits
        ) as client:
            yield OutgoingLine(client, target, address, self.timeout_s)

    async def _address_of(self, target: Target) -> Address:
        """One address, after all of them were looked at: a name that leads inside at all is not trusted."""
        try:
            async with asyncio.timeout(self.timeout_s):
                found = await self._resolve(target.host, target.port)
        except TimeoutError:
            raise TargetUnreachable("the name could not be resolved in time") from None
        except (OSError, UnicodeError):
            raise TargetUnreachable("the name could not be resolved") from None
        addresses = [parse_address(one) for one in found]
        if not addresses:
            raise TargetUnreachable("the name has no address")
        for one in addresses:
            check_address(one, self.allowed, is_encrypted=target.is_encrypted)
        return addresses[0]


def _milliseconds(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _seconds(header: str | None) -> int | None:
    """Only the form that is a number: dates are the sender's idea of the time."""
    if header is None or not header.isascii() or not header.isdecimal() or len(header) > 6:
        return None
    return int(header)


def _of_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate was not accepted: {error.verify_message}"
    return "no encrypted connection"


def _reason(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return _of_tls(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError | OSError):
        return "no connection"
    if isinstance(error, httpx.RemoteProtocolError):
        return "the answer was not HTTP, or broke off"
    return "the connection broke off"
