"""Messages: direct conversations, groups and channels, and what is said in them.

Promises: two people have one conversation however often and at once it is opened; messages of a conversation are
numbered without a gap in the order of their commits, so that "read up to here" passes over none that comes later;
what a person is not in, or no longer in, they do not see anywhere, nor the files that went with it. Owns
conversations, conversation_readers, messages, message_revisions and message_reactions.
"""
