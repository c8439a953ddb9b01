"""An upload in one request: guard, room, and only then the file's bytes."""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.answers import Response, answer_with
from pm_api.core.errors import ApiError, ValidationFailed
from pm_api.core.idempotency import IdempotencyKeyReused
from pm_api.core.late_keys import Earlier, LateKey, agreed
from pm_api.core.platform import Platform
from pm_api.domains.storage import finishing, quotas, sessions, upload_reading
from pm_api.domains.storage.accounts import account_of
from pm_api.domains.storage.admission import Admission, admitted
from pm_api.domains.storage.enums import SessionState, UploadWay
from pm_api.domains.storage.errors.uploads import FileTooLarge, UploadEnded
from pm_api.domains.storage.forms import MOST_BEFORE_FILE_BYTES, FileForm, as_it_comes
from pm_api.domains.storage.guards_uploads import PLACE, Place
from pm_api.domains.storage.leases import Leases
from pm_api.domains.storage.models import UploadSession
from pm_api.domains.storage.repository import uploads as repository
from pm_api.domains.storage.sniffing import declared_type
from pm_api.domains.storage.streaming import Expected, Received, look_through

SHA256_BYTES: Final = 32
MD5_BYTES: Final = 16
FIELDS: Final = frozenset({"name", "sha256", "md5"})
HEX: Final = re.compile(r"[0-9a-fA-F]*")


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body before any of it is read."""

    content_type: str
    content_length: int | None
    stream: AsyncIterator[bytes]


async def upload(platform: Platform, place: Place, body: Body, key: LateKey | None = None) -> Response:
    """The file of a form. Raises what the place and the plan refuse, before a byte of the body is read where the
    announced length says enough, and before a byte of the file is where it does not.

    Under a key the first file that is whole is the only one: who sends it again, or at the same time, gets its
    answer. Raises IdempotencyKeyReused for another file, another name or another place.
    """
    earlier = await key.earlier() if key is not None else None
    if earlier is None:
        await _check_length(platform, place, body.content_length)
    form = FileForm(body.content_type, as_it_comes(body.stream, platform.part(Leases).patience))
    part = await form.begin()
    announced = _announced(form.fields)
    name = form.fields.get("name") or part.file_name
    if earlier is not None:
        return await _again(earlier, place, name, form, announced)
    async with admitted(platform, account_of(place.scope)) as session:
        begun = await sessions.begin(
            session,
            platform,
            place.scope,
            sessions.NewUpload(
                way=UploadWay.MULTIPART,
                file_type=place.file_type,
                original_name=name,
                declared_type=declared_type(part.declared_type),
                reserve_bytes=form.left_bytes(body.content_length),
                task_id=place.task_id,
                project_id=place.project_id,
                file_id=place.file_id,
                expected_sha256=announced.sha256,
                expected_md5=announced.md5,
            ),
        )
    async with aclosing(form.file()) as content:
        if key is None:
            await finishing.bring(platform, begun, content, announced)
            async with platform.part(Admission).place(), platform.database.reading() as session:
                answer = await _told(session, platform, place, begun)
        else:
            async with finishing.ending_with_it(platform, begun):
                received = await finishing.receive(platform, begun, content, announced)
                answer = await _finished_once(platform, place, begun, received, key, name)
    if answer is None:
        raise UploadEnded("The file was deleted as soon as it had come in.")
    return answer


async def _told(session: AsyncSession, platform: Platform, place: Place, begun: UploadSession) -> Response | None:
    """What is answered for an upload that is complete; None when its file is gone, or out of the caller's sight."""
    ended = await repository.upload(session, begun.id)
    done = await upload_reading.done(session, platform, place.scope, ended) if ended is not None else None
    if done is None:
        return None
    location = f"/api/storage/files/{done.file.id}"
    return answer_with(done, status=201, location=location, version=done.file.version)


# --- under a key ---------------------------------------------------------------------------------------------------


async def _finished_once(
    platform: Platform, place: Place, begun: UploadSession, received: Received, key: LateKey, name: str
) -> Response | None:
    """The file and its answer under the key, committed together. Of several who come to this point the first has made
    the file: to the others this upload is one too many, and ends as if it had been cancelled.
    """
    async with admitted(platform, account_of(place.scope)) as session:
        before = await key.claim(session, _fingerprint(place, name, received.sha256))
        if before is not None:
            await sessions.end(session, platform, begun, SessionState.TERMINATED)
            return before
        file = await finishing.finish_in(session, platform, begun.id, received)
        answer = await _told(session, platform, place, begun) if file is not None else None
        if answer is None:
            await key.give_back(session)
        else:
            await key.keep(session, answer)
    return answer


async def _again(earlier: Earlier, place: Place, name: str, form: FileForm, announced: Expected) -> Response:
    """What the file of this form was answered with before. It is looked at as it passes and kept nowhere, so that it
    needs no room; of more than there was then nothing is read.
    """
    size_bytes: int = orjson.loads(earlier.answer.body)["receipt"]["fileSize"]
    async with aclosing(form.file()) as content:
        try:
            found = await look_through(content, "", most_bytes=size_bytes, expected=announced)
        except FileTooLarge:
            raise IdempotencyKeyReused from None
    return agreed(earlier, _fingerprint(place, name, found.sha256))


def _fingerprint(place: Place, name: str, sha256: bytes) -> bytes:
    """Two uploads are the same when they bring the same bytes under the same name to the same place."""
    account = account_of(place.scope)
    asked = [account.kind, account.id, place.file_type, place.task_id, place.project_id, place.file_id, name]
    return hashlib.sha256(orjson.dumps([str(one) for one in asked]) + b"\n" + sha256).digest()


# --- steps ---------------------------------------------------------------------------------------------------------


async def _check_length(platform: Platform, place: Place, content_length: int | None) -> None:
    """A body that cannot hold a file the plan allows is not read at all."""
    if content_length is None:
        return
    async with platform.part(Admission).place(), platform.database.reading() as session:
        most = await quotas.most_of_one_file(session, platform, account_of(place.scope))
    if most is not None and content_length - MOST_BEFORE_FILE_BYTES > most:
        raise FileTooLarge(f"A file has at most {most} bytes under this plan.", limit=most)


def _announced(fields: dict[str, str]) -> Expected:
    for name in fields:
        if name in PLACE:
            raise _wrong(name, "Belongs into the address: it decides whether the body is read")
        if name not in FIELDS:
            raise _wrong(name, "Extra inputs are not permitted")
    return Expected(
        sha256=_digest(fields, "sha256", SHA256_BYTES),
        md5=_digest(fields, "md5", MD5_BYTES),
    )


def _digest(fields: dict[str, str], name: str, length: int) -> bytes | None:
    """Written in hex, or in base64."""
    raw = fields.get(name, "").strip()
    if not raw:
        return None
    try:
        if len(raw) == length * 2 and HEX.fullmatch(raw):
            return bytes.fromhex(raw)
        found = base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != length:
        raise _wrong(name, f"Should be {length} bytes in hex or base64")
    return found


def _wrong(name: str, what: str) -> ApiError:
    return ValidationFailed(f"{name}: {what}", details=[{"pointer": f"/{name}", "detail": what}])
