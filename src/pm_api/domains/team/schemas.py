"""Shapes of the team on the wire."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, Name, Text, Timestamp, storable
from pm_api.domains.projects.enums import ProjectRole
from pm_api.domains.team.enums import BulkAction, InvitationStatus, InviteOutcome, MemberStatus, TeamFormat
from pm_api.identity.permissions import Role
from pm_api.identity.schemas.people import Email, not_null

MOST_ADDRESSES = 100
MOST_MEMBERS = 100
EMAIL_LENGTH = 320
SUBJECT_LENGTH = 120
MESSAGE_LENGTH = 2000

_WORKSPACE = "The workspace."
_ROLE = "OWNER > ADMIN > MEMBER > VIEWER; a GUEST sees single projects alone."
_PROJECTS = "Projects they are put into when they come, at most 50."
_PROJECT_ROLE = "What they are in those projects."
MOST_PROJECTS = 50


def _each_project_once(ids: list[UUID]) -> list[UUID]:
    return list(dict.fromkeys(ids))


ProjectIds = Annotated[list[UUID], Field(max_length=MOST_PROJECTS), AfterValidator(_each_project_once)]


# --- invitations -----------------------------------------------------------------------------------------------


class InviteRequest(ApiRequest):
    workspace_id: UUID = Field(description=_WORKSPACE)
    emails: list[Annotated[Text, Field(max_length=EMAIL_LENGTH)]] = Field(
        min_length=1,
        max_length=MOST_ADDRESSES,
        description="Whom to invite: each address is told what became of it. Case and outer blanks do not count.",
        examples=[["bob@acme.dev"]],
    )
    role: Role = Field(
        Role.MEMBER, description=f"What they come in as, at most your own role. {_ROLE}", examples=["MEMBER"]
    )
    projects: ProjectIds = Field([], description=f"{_PROJECTS} A GUEST needs one at least.", examples=[[]])
    project_role: ProjectRole | None = Field(
        None,
        description=f"{_PROJECT_ROLE} Left out: VIEWER for a VIEWER, MEMBER for everybody else.",
        examples=["MEMBER"],
    )


class InvitationUpdate(ApiRequest):
    """Only the fields sent are changed."""

    email: Annotated[Email | None, BeforeValidator(not_null)] = Field(
        None,
        description="Bind it to another address, which gets a new link; the one before opens nothing any more.",
        examples=["robert@acme.dev"],
    )
    role: Annotated[Role | None, BeforeValidator(not_null)] = Field(
        None, description="What they come in as, at most your own role.", examples=["VIEWER"]
    )
    projects: Annotated[ProjectIds | None, BeforeValidator(not_null)] = Field(
        None, description=f"{_PROJECTS} A GUEST needs one at least.", examples=[[]]
    )
    project_role: Annotated[ProjectRole | None, BeforeValidator(not_null)] = Field(
        None, description=_PROJECT_ROLE, examples=["MEMBER"]
    )


class InvitationRead(ApiModel):
    """An address asked into a workspace, as its admins see it."""

    id: UUID = Field(description="The invitation's id.")
    workspace_id: UUID = Field(description=_WORKSPACE)
    email: str = Field(description="The one address that may accept it.", examples=["bob@acme.dev"])
    role: Role = Field(description="What they come in as.", examples=["MEMBER"])
    projects: list[UUID] = Field(description=_PROJECTS)
    project_role: ProjectRole | None = Field(
        description=f"{_PROJECT_ROLE} Null when there are none.", examples=["MEMBER"]
    )
    status: InvitationStatus = Field(
        description="PENDING waits for an answer; EXPIRED has waited seven days, and can be sent again.",
        examples=["PENDING"],
    )
    invited_by: UUID = Field(description="Who invites: the person's id.")
    inviter_name: str = Field(description="Who invites: their name as it is now.", examples=["Ann Archer"])
    sent_at: Timestamp = Field(description="When the newest link was sent; older ones open nothing.")
    expires_at: Timestamp = Field(description="Until when it can be accepted: seven days after it was sent.")
    decided_at: Timestamp | None = Field(description="When it was accepted, declined or withdrawn; null before.")
    created_at: Timestamp = Field(description="When the address was first invited.")
    version: int = Field(description="Counts changes.", examples=[1])


class InvitationAnswer(ApiModel):
    invitation: InvitationRead = Field(description="The invitation as it is now.")


class InvitationsAnswer(ApiModel):
    invitations: list[InvitationRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class InviteResult(ApiModel):
    """What became of one address."""

    email: str = Field(description="The address: as it is stored, or as it was sent when it is none.")
    outcome: InviteOutcome = Field(
        description="INVITED: a mail with the link is under way. ALREADY_INVITED: an invitation waits, unchanged;"
        " send it again if it was lost. ALREADY_MEMBER, INVALID_ADDRESS: nothing was done.",
        examples=["INVITED"],
    )
    invitation: InvitationRead | None = Field(description="The invitation that waits; null when there is none.")


class InviteAnswer(ApiModel):
    results: list[InviteResult] = Field(description="One for each address, in the order they were sent.")


class InvitationView(ApiModel):
    """An invitation, as whoever holds its link sees it."""

    workspace_name: str = Field(description="Where one is invited to.", examples=["Acme"])
    inviter_name: str = Field(description="Who invites.", examples=["Ann Archer"])
    email: str = Field(description="The address it is for, and the only one that may accept it.")
    role: Role = Field(description="What one comes in as.", examples=["MEMBER"])
    projects: list[str] = Field(
        description="Names of the projects one would be put into.", examples=[["Website relaunch"]]
    )
    expires_at: Timestamp = Field(description="Until when it can be accepted.")


class InvitationViewAnswer(ApiModel):
    invitation: InvitationView = Field(description="What one is invited to.")


class AcceptAnswer(ApiModel):
    """One's new place."""

    workspace_id: UUID = Field(description="The workspace one belongs to now.")
    member_id: UUID = Field(description="The membership's id.")
    role: Role = Field(description="What one came in as.", examples=["MEMBER"])


# --- members ---------------------------------------------------------------------------------------------------


class TeamMemberRead(ApiModel):
    """A person's place in a workspace, or an address that is asked to take one."""

    id: UUID = Field(description="The membership's id, used by the team routes; of who is invited, the invitation's.")
    workspace_id: UUID = Field(description=_WORKSPACE)
    user_id: UUID | None = Field(description="The person; null for who is invited.")
    name: str | None = Field(description="The person's name; null for who is invited.", examples=["Ann Archer"])
    avatar: str | None = Field(None, description="Address of their picture; null without one.")
    email: str = Field(description="The person's address.", examples=["ann@acme.dev"])
    role: Role = Field(description=_ROLE, examples=["MEMBER"])
    status: MemberStatus = Field(
        description="ACTIVE, or INVITED and not here yet; REMOVED in the answer to a removal.", examples=["ACTIVE"]
    )
    joined_at: Timestamp | None = Field(description="When the person joined; null for who is invited.")
    invited_at: Timestamp | None = Field(description="When the newest link was sent; null for members.")
    version: int = Field(description="Counts changes.", examples=[1])


class TeamMemberAnswer(ApiModel):
    member: TeamMemberRead = Field(description="The member as they are now.")


class TeamMembersAnswer(ApiModel):
    members: list[TeamMemberRead] = Field(description="Members in the order they joined; the invited newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class LeftBehind(ApiModel):
    """So many things of one kind that were a person's in this workspace."""

    kind: str = Field(description="What they are.", examples=["invitations"])
    count: int = Field(description="How many there are.", examples=[3])
    reassigned: int = Field(description="How many of them somebody else has now.", examples=[0])
    can_be_reassigned: bool = Field(description="Whether `reassignTo` hands them over.", examples=[True])
    stays: str = Field(
        description="What becomes of those that nobody takes over.", examples=["They stay good until they expire."]
    )


class RemovalRead(ApiModel):
    """A membership that has ended, and what was left behind."""

    member: TeamMemberRead = Field(description="The member as they were, with the status REMOVED.")
    left_behind: list[LeftBehind] = Field(description="Only kinds of which there is something.")
    reassigned_to: UUID | None = Field(description="The person who has taken over what can be; null when nobody.")


class RemovalAnswer(ApiModel):
    removal: RemovalRead = Field(description="What has happened.")


class BelongingsAnswer(ApiModel):
    member: TeamMemberRead = Field(description="Whose they are.")
    belongings: list[LeftBehind] = Field(description="What the member would leave behind.")


# --- many at once ----------------------------------------------------------------------------------------------

MemberIds = Annotated[
    list[UUID],
    Field(min_length=1, max_length=MOST_MEMBERS, description="Memberships, each once; at most 100."),
]


def _once(ids: list[UUID]) -> None:
    if len(set(ids)) < len(ids):
        raise ValueError("memberIds must name each member at most once")


class BulkRequest(ApiRequest):
    """One thing done to many members: to all of them, or to none."""

    workspace_id: UUID = Field(description=_WORKSPACE)
    member_ids: MemberIds
    action: BulkAction = Field(description="CHANGE_ROLE needs `role`.", examples=["CHANGE_ROLE"])
    role: Role | None = Field(None, description="The new role, for CHANGE_ROLE.", examples=["VIEWER"])
    reassign_to: UUID | None = Field(
        None, description="For REMOVE: the membership of who takes over what the removed leave behind."
    )
    dry_run: bool = Field(False, strict=True, description="Only tell what would happen, and change nothing.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _once(self.member_ids)
        if (self.action is BulkAction.CHANGE_ROLE) != (self.role is not None):
            raise ValueError("role goes with CHANGE_ROLE, and only with it")
        if self.reassign_to is not None and self.action is not BulkAction.REMOVE:
            raise ValueError("reassignTo goes only with REMOVE")
        return self


class BulkResult(ApiModel):
    """What became of one member, or would."""

    member_id: UUID = Field(description="The membership.")
    allowed: bool = Field(description="Whether it is possible.", examples=[True])
    code: str | None = Field(description="Why it is not, as the single route would say.", examples=["last_owner"])
    detail: str | None = Field(description="The same in a sentence.")
    member: TeamMemberRead | None = Field(description="As they are then; null when it is not possible.")
    left_behind: list[LeftBehind] = Field(description="What who is removed leaves behind.")


class BulkAnswer(ApiModel):
    done: bool = Field(description="False after a dry run: nothing was changed.", examples=[True])
    results: list[BulkResult] = Field(description="In the order of `memberIds`.")


class TeamExportRequest(ApiRequest):
    workspace_id: UUID = Field(description=_WORKSPACE)
    format: TeamFormat = Field(TeamFormat.CSV, description="csv for a spreadsheet, json for a program.")
    role: Role | None = Field(None, description="Only this role.")


Subject = Annotated[Name, Field(max_length=SUBJECT_LENGTH)]
Message = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MESSAGE_LENGTH),
    AfterValidator(storable),
]


class TeamMessageRequest(ApiRequest):
    workspace_id: UUID = Field(description=_WORKSPACE)
    member_ids: MemberIds | None = Field(
        None, description="Whom it is for; left out: everybody but you, at most 1000."
    )
    subject: Subject = Field(description="One line.", examples=["Launch on Friday"])
    message: Message = Field(description="Plain text.", examples=["Please have your tasks up to date by noon."])

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _once(self.member_ids or [])
        return self


class TeamMessageAnswer(ApiModel):
    sent: int = Field(
        description="How many people are told, in the app and by mail as each of them chose.", examples=[4]
    )
