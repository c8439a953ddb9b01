"""A workspace with files in it, over HTTP."""

import hashlib
from typing import Any
from uuid import UUID

import httpx

from pm_api.core.platform import Platform
from pm_api.domains.storage.accounts import Account
from pm_api.domains.storage.models import StorageUsage
from pm_api.domains.storage.repository import books
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType
from tests.conftest import Person
from tests.support.plans import bought

Json = dict[str, Any]
UPLOADS = "/api/storage/uploads"
BOUNDARY = "line-between-parts"


async def upload(person: Person, content: bytes, name: str = "plan.txt", **query: Any) -> httpx.Response:
    """In one request, by httpx's own writer of forms."""
    fields = query.pop("fields", {})
    media_type = query.pop("media_type", "text/plain")
    return await person.client.post(UPLOADS, params=query, data=fields, files={"file": (name, content, media_type)})


async def uploaded(person: Person, content: bytes, name: str = "plan.txt", **query: Any) -> Json:
    """The file, which must have been taken."""
    answer = await upload(person, content, name, **query)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()["file"]
    return made


def form(
    content: bytes, *, name: str = "plan.txt", fields: dict[str, str] | None = None, end: bytes = b"\r\n"
) -> bytes:
    """A form as it stands on the wire."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in (fields or {}).items()
    ]
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: text/plain\r\n\r\n"
    )
    return b"".join([*parts, head.encode(), content, f"\r\n--{BOUNDARY}--".encode(), end])


FORM_TYPE = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def refused(answer: httpx.Response, status: int, code: str) -> Json:
    """The problem, which must be this one."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    content: Json = answer.json()
    return content


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def user_account(person: Person) -> Account:
    return Account(AccountType.USER, person.id)


async def limit(
    platform: Platform, account: Account, *, storage: int | None = None, one_file: int | None = None
) -> None:
    """A plan of so many bytes."""
    async with platform.database.transaction() as session:
        limits = {"max_storage_bytes": storage, "max_file_bytes": one_file}
        await entitlements.write(
            session, platform, await bought(session, platform, account.id, kind=account.kind, limits=limits)
        )


async def usage(platform: Platform, account_id: UUID) -> StorageUsage | None:
    async with platform.database.reading() as session:
        return await books.of_account(session, account_id)


async def used(platform: Platform, account_id: UUID) -> tuple[int, int]:
    """(used, reserved)."""
    row = await usage(platform, account_id)
    return (row.total_used, row.reserved) if row is not None else (0, 0)
