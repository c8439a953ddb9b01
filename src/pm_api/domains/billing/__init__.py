"""Billing: what money does. Plans, subscriptions, checkouts, contracts, invoices, refunds, cards; and what is bought,
as limits and credits.

Owns subscriptions, trials, contracts, invoices, refunds, disputes, payment methods, top-ups, prices, usage samples
and reconciliation. Promises: Stripe's objects are mirrored forward only, whole, by one function each; the same
payment under any number of events, in any order, grants once and is told once; at most one subscription of an
account gives anything; what cannot be understood is held and reported, never guessed. See docs/billing.md.
"""
