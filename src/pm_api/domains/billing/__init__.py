"""Billing: what money does. Turns what Stripe says into credits, once.

Promises: the same purchase under any number of events, in any order, grants once; what cannot be understood is held
and reported, never guessed. Owns no table yet.
"""
