"""Refusals of messages."""

from pm_api.core.errors import Conflict, Forbidden, Unprocessable


class ConversationArchived(Conflict):
    """The conversation is archived, and so it can only be read.

    Restore it first: `POST /api/conversations/{id}/restore`.
    """

    code = "conversation_archived"


class FixedConversation(Conflict):
    """This kind of conversation cannot be changed so.

    A direct conversation has two people and no name, and is never archived. Who reads a channel is told by its
    project, or by the workspace.
    """

    code = "fixed_conversation"


class InvalidMembers(Unprocessable):
    """Only other members of the workspace can be in a conversation with you; each is named by their user id."""

    code = "invalid_members"


class TooManyMembers(Conflict):
    """A group has at most 250 members. Use a channel for more."""

    code = "too_many_members"


class TooManyChannels(Conflict):
    """A project has at most 100 channels, and a workspace as many without a project; archived ones count too."""

    code = "too_many_channels"


class NoSharedProject(Forbidden):
    """As a guest you may write to people of your projects only."""

    code = "no_shared_project"


class NotTheAuthor(Forbidden):
    """Only its author may change what a message says; in a direct conversation only its author may delete it."""

    code = "not_the_author"


class MessageDeleted(Conflict):
    """The message was deleted: it cannot be changed or reacted to any more."""

    code = "message_deleted"


class InvalidParent(Unprocessable):
    """`parentId` must be a message of the same conversation that is no reply itself."""

    code = "invalid_parent"


class InvalidMention(Unprocessable):
    """Only people who see the conversation can be mentioned in it."""

    code = "invalid_mention"


class InvalidEmoji(Unprocessable):
    """A reaction is one emoji."""

    code = "invalid_emoji"


class TooManyReactions(Conflict):
    """A message takes at most 50 different reactions."""

    code = "too_many_reactions"


class InvalidMute(Unprocessable):
    """A conversation is muted until a time to come, or without an end."""

    code = "invalid_mute"
