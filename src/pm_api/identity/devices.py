"""Devices people sign in on: which of them are known, without following anybody around.

A device is known by a random cookie of its own, or else by what it says it is and the network it is in, so that who
clears their cookies at home is no stranger. Kept are digests alone, of each person apart.
"""

import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.crypto import digest_token
from pm_api.core.platform import Platform
from pm_api.identity.repository import sign_in as repository

FORGOTTEN_AFTER: Final = timedelta(days=365)
MOST_KNOWN: Final = 50
"""Marks of one person: a program that signs in without cookies is another device each time."""
USER_AGENT_LENGTH: Final = 400
_VERSIONS: Final = re.compile(r"[\d._]+")


@dataclass(frozen=True, slots=True)
class Device:
    """What a request tells of where it comes from; `token` is the device's cookie."""

    user_agent: str
    address: str
    token: str | None = None


async def recognise(session: AsyncSession, platform: Platform, user_id: UUID, device: Device) -> bool:
    """Whether a person signed in on this device before, or never signed in at all; from now on it is known. Those
    seen last are remembered.
    """
    marks = sorted(_marks(user_id, device))
    was_known, knows_others = await repository.known_devices(session, user_id, marks)
    await repository.remember_devices(session, user_id, marks, platform.clock.wall(), most=MOST_KNOWN)
    return was_known or not knows_others


def _marks(user_id: UUID, device: Device) -> list[bytes]:
    """The person is a part of each: one device must not tie two people together."""
    family = _VERSIONS.sub("", device.user_agent[:USER_AGENT_LENGTH])
    marks = [digest_token(f"seen\n{user_id}\n{family}\n{_network(device.address)}")]
    if device.token is not None:
        marks.append(digest_token(f"cookie\n{user_id}\n{device.token}"))
    return marks


def _network(address: str) -> str:
    """A household or an office: an IPv4 /24, an IPv6 /64."""
    try:
        host = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{host}/{24 if host.version == 4 else 64}", strict=False))
