"""The billing engine: subscriptions, schedules and invoices through time.

Each module is one room: `arithmetic` (pure), `entries` and `changes` (what is to be billed), `invoicing` (the
invoice's own life), `collection` (getting it paid), `standing` (what a payment means for the subscription),
`lifecycle` and `schedules` (what the calendar brings), `clockwork` (bringing it).
"""
