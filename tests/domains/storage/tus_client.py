"""A tus client that does what it is told, also what no client should do."""

import base64
import hashlib
from typing import Any, Final

import httpx

from tests.conftest import Person

ADDRESS: Final = "/api/storage/tus"
VERSION: Final = {"Tus-Resumable": "1.0.0"}
PIECE: Final = {"Content-Type": "application/offset+octet-stream"}
Json = dict[str, Any]


def metadata(**texts: str) -> str:
    """`Upload-Metadata`."""
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in texts.items())


def checksum(data: bytes, algorithm: str = "sha1") -> dict[str, str]:
    digest = hashlib.new(algorithm, data, usedforsecurity=False).digest()
    return {"Upload-Checksum": f"{algorithm} {base64.b64encode(digest).decode()}"}


def some_bytes(size: int, seed: int = 1) -> bytes:
    """The same each time, and compressible by nobody."""
    blocks = (hashlib.sha256(f"{seed}:{one}".encode()).digest() for one in range(size // 32 + 1))
    return b"".join(blocks)[:size]


async def create(
    person: Person, length: int | None, data: bytes | None = None, headers: dict[str, str] | None = None, **about: str
) -> httpx.Response:
    """POST, with a first piece if there is one."""
    about = {"filename": "plan.bin", **about}
    said = {"Upload-Length": str(length)} if length is not None else {"Upload-Defer-Length": "1"}
    return await person.client.post(
        ADDRESS,
        headers={
            **VERSION,
            **said,
            "Upload-Metadata": metadata(**about),
            **(PIECE if data is not None else {}),
            **(headers or {}),
        },
        content=data,
    )


async def begun(person: Person, length: int | None, data: bytes | None = None, **about: str) -> str:
    """The address of a new upload."""
    answer = await create(person, length, data, None, **about)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Location"])


async def ask(person: Person, address: str) -> httpx.Response:
    return await person.client.head(address, headers=VERSION)


async def offset_of(person: Person, address: str) -> int:
    answer = await ask(person, address)
    assert answer.status_code == 200, answer.status_code
    return int(answer.headers["Upload-Offset"])


async def send(person: Person, address: str, offset: int, data: Any, **headers: str) -> httpx.Response:
    """PATCH; keywords are headers with `_` for `-`."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return await person.client.patch(
        address, headers={**VERSION, **PIECE, "Upload-Offset": str(offset), **more}, content=data
    )


async def end(person: Person, address: str) -> httpx.Response:
    return await person.client.delete(address, headers=VERSION)


async def upload_of(person: Person, address: str) -> Json:
    """The upload as everybody else's routes tell it."""
    answer = await person.client.get(f"/api/storage/uploads/{address.rsplit('/', 1)[-1]}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["upload"]
    return found
