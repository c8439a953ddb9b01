"""The till: who an account is at Stripe, what somebody set out to buy, and how it ended.

Owns stripe_customers and checkout_sessions. Promises: an account has one living customer at Stripe for ever, also in
a race and after a crash, and a new one only when Stripe has deleted it; a checkout remembers the catalogue version or
the price the buyer saw, so a later price change never alters a purchase; what was complete or paid once stays so.
"""
