"""Words of messages, written exactly as on the wire."""

from enum import StrEnum


class ConversationKind(StrEnum):
    """DIRECT: two people, always the same two. GROUP: whoever was put into it. CHANNEL: everybody who sees its
    project, or without a project the workspace.
    """

    DIRECT = "DIRECT"
    GROUP = "GROUP"
    CHANNEL = "CHANNEL"


class NewKind(StrEnum):
    """What can be created by name; a direct conversation is opened with somebody."""

    GROUP = "GROUP"
    CHANNEL = "CHANNEL"
