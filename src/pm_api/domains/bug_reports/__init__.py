"""Bug reports: what somebody says is broken, and what those in charge do about it.

Promises: a report on a workspace is seen by whoever made it, as long as they are a member, and by the workspace's
admins; one on the product itself by its reporter and the operators of this installation; nobody else, in lists, hints
of duplicates, search, changes or notifications. It becomes one task at most, and its reporter is told what is done.
A screenshot is seen by whoever sees the report. Owns bug_reports.
"""
