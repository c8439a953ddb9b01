"""One JSON answer over HTTP: no redirects, a time limit, a limit of size, and failures of our own."""

import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx
import orjson

from pm_api.integrations.openid.values import ProviderRefused, SignInProviderUnavailable

TIMEOUT_S: Final = 10.0
MAX_BYTES: Final = 1024 * 1024


class Wire:
    """Short connections: a sign-in asks two or three things, and seconds later nothing more."""

    def __init__(self) -> None:
        self._tls: ssl.SSLContext | None = None

    async def get(self, address: str, headers: Mapping[str, str] | None = None) -> Any:
        """Raises SignInProviderUnavailable and ProviderRefused."""
        return await self._ask("GET", address, headers, None)

    async def post(self, address: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Any:
        """Raises SignInProviderUnavailable and ProviderRefused."""
        return await self._ask("POST", address, headers, form)

    async def _ask(
        self, method: str, address: str, headers: Mapping[str, str] | None, form: Mapping[str, str] | None
    ) -> Any:
        if self._tls is None:  # reading the certificates takes longer than most answers
            self._tls = httpx.create_ssl_context()
        sent = {"Accept": "application/json", "User-Agent": "pm_api", **(headers or {})}
        try:
            async with (
                httpx.AsyncClient(verify=self._tls, timeout=TIMEOUT_S, follow_redirects=False) as client,
                client.stream(method, address, headers=sent, data=form) as answer,
            ):
                content = bytearray()
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > MAX_BYTES:
                        raise ProviderRefused("the answer is too long")
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SignInProviderUnavailable from error
        if status >= 500 or status == 429:
            raise SignInProviderUnavailable
        try:
            read = orjson.loads(content)
        except orjson.JSONDecodeError:
            read = None
        if status != 200 or read is None:
            # RFC 6749 §5.2: `error` is a word of a short list; the description may hold anything.
            word = read.get("error") if isinstance(read, dict) else None
            raise ProviderRefused(f"HTTP {status}" + (f" {word[:60]}" if isinstance(word, str) else ""))
        return read
