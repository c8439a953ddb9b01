"""Notifications inside the app: what happened that concerns a person, and what they did with it.

Promises: one row for each receiver and dedup key, however often and by however many at once it is told; nobody is
told of what they did themselves or may not see, and what a person may not see any more is not shown to them; every
new or changed one is a change in its receiver's own feed. Owns notifications.
"""
