"""The till: what somebody set out to buy, and how it ended.

Promises: a checkout remembers the catalogue version the buyer saw, so a later price change never alters a purchase.
Owns checkout_sessions.
"""
