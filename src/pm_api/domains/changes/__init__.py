"""The one change cursor: a feed per workspace and per user, in commit order, behind polling and SSE replay.

Promises: a position is given at the very end of the writing transaction, so nothing that commits late is skipped;
what a reader may not see is not in what they read. Owns feeds, changes and stream_tickets.
"""
