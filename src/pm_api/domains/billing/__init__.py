"""Billing: what money does. Plans on offer, contracts, an account's use of its plan; what Stripe says, as credits.

Owns contracts. Promises: the same purchase under any number of events, in any order, grants once; what cannot be
understood is held and reported, never guessed; a contract's limits and credits begin and end together.
"""
