"""Which targets a request may have: pure rules over addresses and their numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_URL: Final = 2000
PORTS: Final = {"https": 443, "http": 80}
NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""127.1, 0x7f000001 and 017700000001 are all this machine: whose last part is a number is no name."""
LOCAL_NAMES: Final = (".localhost", ".local", ".internal", ".home.arpa")

# Written out rather than asked of the standard library, whose answers differ between its versions.
CLOSED_V4: Final = tuple(
    IPv4Network(one)
    for one in (
        "0.0.0.0/8",  # this host (RFC 791)
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # between a carrier and its customers (RFC 6598); a cloud's metadata too
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's metadata at a public address
        "169.254.0.0/16",  # link-local, where most clouds keep their metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # of protocols (RFC 6890); a cloud's metadata too
        "192.0.2.0/24",  # of documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # of measurements (RFC 2544)
        "198.51.100.0/24",  # of documentation
        "203.0.113.0/24",  # of documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
OPEN_V6: Final = IPv6Network("2000::/3")
"""All that is handed out for the public. Everything else of IPv6 is closed: loopback, private, link-local, multicast,
and with ::ffff:0:0/96 and 64:ff9b::/96 the ways in which an IPv4 address can be written as one of IPv6."""
CLOSED_V6: Final = tuple(
    IPv6Network(one)
    for one in (
        "2001::/23",  # of protocols; Teredo holds an IPv4 address
        "2001:db8::/32",  # of documentation
        "2002::/16",  # 6to4 holds an IPv4 address
        "3fff::/20",  # of documentation
    )
)


class TargetRefused(Exception):
    """We do not send there. `reason` is a sentence for whoever named the target."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """An address taken apart."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_encrypted(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """What stands in `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def check_url(url: str, allowed: Sequence[Network]) -> Target:
    """The target of an address, as far as can be told without asking anybody; raises TargetRefused.

    What a name leads to shows when it is resolved. http is for networks that the operator allows: for addresses in
    them, and for names that nobody on the public internet has.
    """
    if len(url) > LONGEST_URL or any(ord(one) <= 32 or ord(one) == 127 for one in url) or "\\" in url:
        raise TargetRefused(f"An address has at most {LONGEST_URL} characters and no blanks.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise TargetRefused("This is no address.") from None
    if parts.scheme not in PORTS or not host or port == 0:
        raise TargetRefused("An address begins with https:// and a host.")
    if parts.username is not None or parts.password is not None:
        raise TargetRefused("An address holds no user and no password.")
    if parts.fragment:
        raise TargetRefused("An address has no part after #.")
    target = Target(parts.scheme, _host(host), port or PORTS[parts.scheme], _path(parts))
    literal = _literal(target.host)
    if literal is not None:
        check_address(literal, allowed, is_encrypted=target.is_encrypted)
        return target
    is_local = "." not in target.host or target.host.endswith(LOCAL_NAMES)
    if not target.is_encrypted and not (allowed and is_local):
        raise TargetRefused("Only https:// addresses are taken.")
    if is_local and not allowed:
        raise TargetRefused("This host is not on the public internet.")
    return target


def check_address(address: Address, allowed: Sequence[Network], *, is_encrypted: bool) -> None:
    """Raises TargetRefused for an address that is not on the public internet, unless the operator allows it."""
    if any(address in network for network in allowed):
        return
    if not is_encrypted:
        raise TargetRefused("Only https:// addresses are taken.")
    if not is_public(address):
        raise TargetRefused("This host is not on the public internet.")


def is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in CLOSED_V4)
    if address.scope_id is not None or address not in OPEN_V6:
        return False
    return not any(address in network for network in CLOSED_V6)


def parse_networks(values: Sequence[str]) -> tuple[Network, ...]:
    """Raises ValueError."""
    return tuple(ip_network(one) for one in values)


def parse_address(text: str) -> Address:
    """Raises TargetRefused for what is no address."""
    try:
        return ip_address(text)
    except ValueError:
        raise TargetRefused("This host has no address.") from None


def _host(host: str) -> str:
    """As it is asked of the resolver and shown to the server (RFC 5891)."""
    if _literal(host) is not None:
        return host
    try:
        written = host.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise TargetRefused("This is no name of a host.") from None
    parts = written.split(".")
    if not all(part.replace("-", "").replace("_", "").isalnum() for part in parts) or NUMBER.fullmatch(parts[-1]):
        raise TargetRefused("This is no name of a host.")
    return written


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _path(parts: SplitResult) -> str:
    """Whatever is not ASCII in it is written in percents."""
    path = parts.path or "/"
    return quote(f"{path}?{parts.query}" if parts.query else path, safe="/%:@!$&'()*+,;=?~-._[]")
