"""A person's account as a whole: what touches identity, wallet and belongings at once.

Promises: a registration opens user, session and wallet in one transaction, or none of them. Owns no table: it calls
the slices that do, and stands above all of them.
"""
