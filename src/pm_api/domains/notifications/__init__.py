"""Notifications: what happened that concerns a person, in the app and by mail, and what they did with it.

Promises: one row for each receiver and dedup key, however often and by however many at once it is told, and one mail
a row, at once or in the digest they chose, never in their quiet hours; nobody is told of what they did themselves or
may not see, and what a person may not see any more is neither shown nor sent to them; every new, changed or woken one
is a change in its receiver's own feed. What a person switched off in the app is put away, what they switched off by
mail is not sent. Owns notifications, notification_mailings and notification_preferences.
"""
