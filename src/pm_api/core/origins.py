"""Origins of web addresses: the one reading of an address that decides where people may be led."""

from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}


def origin_of(address: str) -> tuple[str, str, int] | None:
    """(scheme, host, port); None for what no browser, or not every browser, takes for an address of the web at this
    origin.
    """
    if not address.isascii() or not address.isprintable() or set(address) & set(' \\\t"<>^`|'):
        return None
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _PORTS or not host or "@" in parts.netloc:
        return None
    return parts.scheme, host, port or _PORTS[parts.scheme]
