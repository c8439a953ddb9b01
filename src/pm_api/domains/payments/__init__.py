"""The till: who pays (one Stripe customer an account) and what they set out to buy (checkouts).

Promises: a checkout remembers the catalogue version the buyer saw, so a later price change never alters a purchase.
Owns stripe_customers and checkout_sessions.
"""
