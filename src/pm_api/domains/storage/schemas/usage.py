"""Shapes of what is used."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.domains.storage.enums import FileType, Reclaim


class LargeFile(ApiModel):
    """One of the largest files that you see."""

    id: UUID = Field(description="The file.")
    original_name: str = Field(description="What it is called.", examples=["launch-film.mp4"])
    file_size: int = Field(description="Bytes of the version that counts.", examples=[482113024])
    file_type: FileType = Field(description="What it is for.")
    task_id: UUID | None = Field(description="The task it is attached to.")
    project_id: UUID | None = Field(description="The project it belongs to.")
    deleted_at: Timestamp | None = Field(description="Since when it is in the trash; null when it is not.")
    created_at: Timestamp = Field(description="When it came.")


class Reclaimable(ApiModel):
    """Room that can be had back, and how."""

    kind: Reclaim = Field(description="What takes it up.")
    bytes: int = Field(description="How much it is.", examples=[73400320])
    how: str = Field(
        description="How to have it back, and when it comes back by itself.",
        examples=["Delete files in the trash for good; each goes by itself after 30 days there."],
    )
    method: str | None = Field(description="HTTP method that does it for one thing.", examples=["DELETE"])
    address: str | None = Field(
        description="Address that does it for one thing.", examples=["/api/storage/files/{fileId}?permanent=true"]
    )


class SharedRoom(ApiModel):
    """The room that the plan holds, for all who share it."""

    is_shared: bool = Field(
        description="Whether it is an owner's, for all of their workspaces without a plan of their own and for their"
        " own files."
    )
    accounts: int = Field(description="How many workspaces and people share it.", examples=[3])
    used: int = Field(description="Bytes that they use together.", examples=[734003200])
    reserved: int = Field(description="Bytes that are promised to their uploads under way.", examples=[10485760])
    limit: int | None = Field(description="Most bytes for all of them; null is unlimited.", examples=[1073741824])
    available: int | None = Field(description="Bytes that are left; null is unlimited.", examples=[329252864])
    max_file_size: int | None = Field(description="Most bytes of one file; null is unlimited.", examples=[26214400])


class StorageUsageRead(ApiModel):
    """What files take up, in bytes. Each content is counted once, however many files hold it, and by its best use:
    what a file holds now comes before an old version, and that before the trash.
    """

    workspace_id: UUID | None = Field(description="The workspace; null for your own files.")
    user_id: UUID | None = Field(description="You, for your own files; null for a workspace's.")
    total_used: int = Field(description="All of the following together.", examples=[524288000])
    task_attachments: int = Field(description="Attachments of tasks.", examples=[314572800])
    project_assets: int = Field(description="Files of projects.", examples=[104857600])
    message_attachments: int = Field(
        description="Attachments of messages, and screenshots of bug reports.", examples=[1048576]
    )
    user_avatars: int = Field(description="Avatars.", examples=[40960])
    workspace_logos: int = Field(description="Logos.", examples=[20480])
    temporary_files: int = Field(description="Uploads that are not put anywhere yet.", examples=[0])
    drive_cache: int = Field(description="Copies of files in connected drives.", examples=[0])
    old_versions: int = Field(description="What files held before.", examples=[52428800])
    trash: int = Field(description="What is in the trash, until it is purged.", examples=[52428800])
    reserved: int = Field(description="Promised to uploads under way here.", examples=[10485760])
    saved_by_deduplication: int = Field(
        description="How much more it would be if every file and version had its bytes to itself.", examples=[1048576]
    )
    room: SharedRoom = Field(description="What the plan holds, and what is left of it.")
    largest_files: list[LargeFile] = Field(description="The largest files that you see, the largest first.")
    reclaimable: list[Reclaimable] = Field(description="What can be had back, the most first.")
    last_calculated: Timestamp = Field(
        description="When it was last counted anew from the files. Between two counts every change is added at once."
    )


class StorageUsageAnswer(ApiModel):
    usage: StorageUsageRead = Field(description="As it is now.")
