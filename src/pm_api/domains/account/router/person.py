"""Routes over oneself: profile, settings, a copy of one's data, and going."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Response
from fastapi.responses import StreamingResponse

from pm_api.core.actor import UserScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.account import deletions, exports, profiles
from pm_api.domains.account.errors.person import (
    AccountNotDeletable,
    DeletionNotPending,
    ExportGone,
    ExportNotReady,
    TooManyExports,
)
from pm_api.domains.account.schemas.person import (
    AccountAnswer,
    AccountDelete,
    ExportAnswer,
    ExportsAnswer,
    ProfileAnswer,
    ProfileWrite,
    SettingsAnswer,
    SettingsUpdate,
)
from pm_api.domains.notifications.errors import ChannelRequired
from pm_api.identity.errors.credentials import ConfirmationRequired
from pm_api.identity.guards import SignedIn, signed_in

router = api_router(tag="account")

ZIP: Final = "application/zip"
about_oneself: Final = SignedIn("profile")

Oneself = Annotated[UserScope, Depends(about_oneself)]
"""An API key of the person's may too, with the scope for the profile."""
Person = Annotated[UserScope, Depends(signed_in)]
"""No key may: what is done here, a thief of one would do."""
ExportId = Annotated[UUID, Path(description="One of your exports.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]


@router.get("/user/profile", operation_id="getProfile", responses={200: ETAG_HEADER})
async def get_profile(
    scope: Oneself, session: SessionDep, platform: PlatformDep, response: Response
) -> ProfileAnswer:
    """What you say of yourself."""
    found = await profiles.profile(session, platform, scope)
    response.headers["ETag"] = entity_tag(found.version)
    return ProfileAnswer(profile=found)


@router.put(
    "/user/profile",
    operation_id="putProfile",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(PreconditionFailed, InvalidIfMatch),
)
async def put_profile(
    scope: Oneself,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    body: ProfileWrite,
) -> ProfileAnswer:
    """Write your profile whole: what is left out is empty. `POST /api/auth/change-email` changes the address."""
    found = await profiles.put_profile(session, platform, scope, body, expected_version)
    response.headers["ETag"] = entity_tag(found.version)
    return ProfileAnswer(profile=found)


@router.get("/user/settings", operation_id="getSettings", responses={200: ETAG_HEADER})
async def get_settings(scope: Oneself, session: SessionDep, response: Response) -> SettingsAnswer:
    """How the product speaks to you, notifications included."""
    found = await profiles.settings(session, scope)
    response.headers["ETag"] = entity_tag(found.version)
    return SettingsAnswer(settings=found)


@router.patch(
    "/user/settings",
    operation_id="updateSettings",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(PreconditionFailed, InvalidIfMatch, ChannelRequired),
)
async def update_settings(
    scope: Oneself,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    body: SettingsUpdate,
) -> SettingsAnswer:
    """Change the settings you send; the others stay as they are."""
    found = await profiles.patch_settings(session, platform, scope, body, expected_version)
    response.headers["ETag"] = entity_tag(found.version)
    return SettingsAnswer(settings=found)


@router.post(
    "/user/export",
    operation_id="createExport",
    status_code=201,
    responses={201: answers_with("Location", "ETag")},
    openapi_extra=raises(TooManyExports),
)
async def create_export(
    scope: Person, session: SessionDep, platform: PlatformDep, response: Response
) -> ExportAnswer:
    """Have everything of yours put into a zip. You are told when it is ready, in the app and by mail.

    It is kept for seven days, or until the next one is ready. While one is under way, asking again gets that one.
    """
    made = await exports.ask(session, platform, scope)
    response.headers["Location"] = f"/api/user/exports/{made.id}"
    response.headers["ETag"] = entity_tag(made.version)
    return ExportAnswer(export=made)


@router.get("/user/exports", operation_id="listExports", openapi_extra=raises(InvalidCursor))
async def list_exports(
    scope: Person,
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
) -> ExportsAnswer:
    """The exports you asked for, newest first."""
    return await exports.list_of(session, platform, scope, page)


@router.get(
    "/user/exports/{export_id}",
    operation_id="getExport",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_export(scope: Person, session: SessionDep, response: Response, export_id: ExportId) -> ExportAnswer:
    """One export, and whether it is ready."""
    found = await exports.get(session, scope, export_id)
    response.headers["ETag"] = entity_tag(found.version)
    return ExportAnswer(export=found)


@router.get(
    "/user/exports/{export_id}/download",
    operation_id="downloadExport",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The zip.", "content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}
    },
    openapi_extra=raises(NotFound, ExportNotReady, ExportGone),
)
async def download_export(scope: Person, platform: PlatformDep, export_id: ExportId) -> StreamingResponse:
    """The zip: JSON files, one a subject, and a README that says what is in which."""
    found = await exports.to_download(platform, scope, export_id)
    headers = {
        "Content-Disposition": f'attachment; filename="export-{found.created_at:%Y-%m-%d}.zip"',
        "Content-Length": str(found.size_bytes),
    }
    return StreamingResponse(exports.content(platform, found.id), media_type=ZIP, headers=headers)


@router.get("/user/account", operation_id="getAccountState")
async def get_account_state(scope: Person, session: SessionDep) -> AccountAnswer:
    """Whether your account is being deleted, and what would stand in the way."""
    return AccountAnswer(account=await deletions.state(session, scope))


@router.delete(
    "/user/account",
    operation_id="deleteAccount",
    status_code=202,
    openapi_extra=raises(ConfirmationRequired, AccountNotDeletable),
)
async def delete_account(scope: Person, platform: PlatformDep, body: AccountDelete | None = None) -> AccountAnswer:
    """Delete your account in seven days.

    Until then everything works, and `POST /api/user/account/restore` calls it off. Then subscriptions end, credits
    that are left are void, workspaces that are yours alone go with you, and everything that tells of you is erased.
    Ledger and invoices stay, of nobody.
    """
    wanted = body or AccountDelete()
    return AccountAnswer(account=await deletions.ask(platform, scope, wanted.password))


@router.post("/user/account/restore", operation_id="restoreAccount", openapi_extra=raises(DeletionNotPending))
async def restore_account(scope: Person, session: SessionDep, platform: PlatformDep) -> AccountAnswer:
    """Call the deletion off: the account goes on as if nothing had been."""
    return AccountAnswer(account=await deletions.call_off(session, platform, scope))
